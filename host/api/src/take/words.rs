//! What a parser says, in the words of who wrote the request.

/// A parser's problem with a value, put plainly; one that it has plain words for stays as it is.
pub fn plainly(problem: &str) -> String {
    if let Some((_, wanted)) = WORDS.iter().find(|(says, _)| problem.starts_with(says)) {
        return (*wanted).to_owned();
    }
    match problem
        .strip_prefix("unknown variant ")
        .and_then(|rest| rest.split_once(", expected "))
    {
        Some((value, wanted)) => {
            let wanted = wanted.strip_prefix("one of ").unwrap_or(wanted);
            format!("is {value}, which is none of what is taken here: {wanted}")
        }
        None => problem.to_owned(),
    }
}

/// How the standard library, `uuid` and `serde` begin, and what is meant.
const WORDS: [(&str, &str); 6] = [
    ("UUID parsing failed", "must be an id (a UUID)"),
    ("invalid digit found in string", "must be a whole number"),
    ("cannot parse integer from empty string", "must be a whole number"),
    ("number too large to fit in target type", "is too large a number"),
    ("number too small to fit in target type", "is too small a number"),
    (
        "provided string was not `true` or `false`",
        "must be true or false",
    ),
];
