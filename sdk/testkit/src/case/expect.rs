//! What is expected of an answer.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::answer::{Answer, Is};

/// What is expected of an answer; what is not said is not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Expect {
    /// Its kind, or one of several.
    pub is: Option<OneOrMany<Is>>,
    /// The name of the fault's code, or one of several.
    pub fault: Option<OneOrMany<String>>,
    /// Whether the fault says that certainly nothing changed.
    pub unchanged: Option<bool>,
    /// The answer is that of this step.
    pub same_as: Option<String>,
    /// What of it may differ.
    pub except: Vec<String>,
    /// The answer is not that of this step.
    pub differs_from: Option<String>,
    /// Values in it by their path (names and numbers with dots between): a value, or what it is compared by:
    /// `at-least`, `at-most`, `not`, `one-of`, `has`, `lacks`, `contains`, `length`, `each`, `same-as`, `differs-from`,
    /// `more-than-in` (these three: STEP or STEP.PATH), `same-as-manifest` (a key of plugin.toml).
    #[serde(rename = "where")]
    pub values: BTreeMap<String, Value>,
}

/// One, or a list of those that will do.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Any of these.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// What came instead of what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What was expected.
    pub expected: String,
    /// What came.
    pub came: String,
}

/// What expectations may refer to.
pub struct Seen<'a> {
    /// Answers of earlier steps by their names.
    pub answers: &'a BTreeMap<String, Answer>,
    /// The plugin's manifest.
    pub manifest: &'a Value,
    /// Sizes that depend on the plugin, by their words (`2x`).
    pub size: &'a dyn Fn(&str) -> Option<u64>,
}

type Checked = Result<(), Mismatch>;

impl Expect {
    /// Names of earlier steps that it refers to.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let compared = self
            .values
            .values()
            .filter_map(Value::as_object)
            .flat_map(|fields| {
                ["same-as", "differs-from", "more-than-in"]
                    .into_iter()
                    .filter_map(|key| fields.get(key))
            })
            .filter_map(Value::as_str)
            .map(|text| text.split('.').next().unwrap_or(text));
        self.same_as
            .as_deref()
            .into_iter()
            .chain(self.differs_from.as_deref())
            .chain(compared)
    }

    /// Compares an answer with it.
    ///
    /// # Errors
    /// The first thing that is not as expected.
    pub fn check(&self, answer: &Answer, seen: &Seen<'_>) -> Checked {
        let wrong = |expected: String| {
            Err(Mismatch {
                expected,
                came: answer.in_words(),
            })
        };
        if let Some(is) = &self.is
            && !is.as_slice().contains(&answer.is)
        {
            return wrong(listed(is.as_slice().iter().map(ToString::to_string)));
        }
        if let Some(faults) = &self.fault {
            let code = answer
                .body
                .get("code")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let fits = answer.is == Is::Fault && faults.as_slice().iter().any(|fault| fault == code);
            if !fits {
                return wrong(format!("fault {}", listed(faults.as_slice().iter().cloned())));
            }
        }
        if let Some(unchanged) = self.unchanged
            && answer.body.get("unchanged") != Some(&Value::Bool(unchanged))
        {
            return wrong(format!("a fault that says unchanged={unchanged}"));
        }
        if let Some(earlier) = &self.same_as {
            self.compare(answer, earlier, seen, true)?;
        }
        if let Some(earlier) = &self.differs_from {
            self.compare(answer, earlier, seen, false)?;
        }
        for (path, wanted) in &self.values {
            let found = at(&answer.body, path);
            value(path, wanted, found, seen).map_err(|mismatch| Mismatch {
                came: format!("{} (in {})", mismatch.came, answer.in_words()),
                ..mismatch
            })?;
        }
        Ok(())
    }

    fn compare(&self, answer: &Answer, earlier: &str, seen: &Seen<'_>, alike: bool) -> Checked {
        let Some(before) = seen.answers.get(earlier) else {
            return Ok(());
        };
        let without = |answer: &Answer| {
            let mut body = answer.body.clone();
            // What a fault says in words is for people, what a call cost is no part of its answer.
            let aside = ["detail", "retry_after_ms", "cost"];
            for path in self.except.iter().map(String::as_str).chain(aside) {
                remove(&mut body, path);
            }
            (answer.is, body)
        };
        let (now, then) = (without(answer), without(before));
        if (now == then) == alike {
            return Ok(());
        }
        if !alike || now.0 != then.0 {
            let words = if alike {
                "the answer"
            } else {
                "another answer than"
            };
            return Err(Mismatch {
                expected: format!("{words} of step {earlier:?}: {}", before.in_words()),
                came: answer.in_words(),
            });
        }
        let (path, was, is) = difference("", &then.1, &now.1);
        Err(Mismatch {
            expected: format!("the answer of step {earlier:?}, where {path} was {}", cut(&was)),
            came: cut(&is),
        })
    }
}

/// The first place in which two values differ, with both.
fn difference(path: &str, then: &Value, now: &Value) -> (String, Value, Value) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match (then, now) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()) {
                let (a, b) = (
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                );
                if a != b {
                    return difference(&below(key), a, b);
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (place, (a, b)) in a.iter().zip(b).enumerate() {
                if a != b {
                    return difference(&below(&place.to_string()), a, b);
                }
            }
        }
        _ => {}
    }
    (path.to_owned(), then.clone(), now.clone())
}

fn listed(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" or ")
}

/// The value at a path; null where there is none.
fn at<'a>(body: &'a Value, path: &str) -> &'a Value {
    let step = |value: &'a Value, part: &str| match part.parse::<usize>() {
        Ok(number) if value.is_array() => value.get(number),
        _ => value.get(part),
    };
    path.split('.').try_fold(body, step).unwrap_or(&Value::Null)
}

fn remove(body: &mut Value, path: &str) {
    let (parent, last) = match path.rsplit_once('.') {
        Some((parent, last)) => (body.pointer_mut(&format!("/{}", parent.replace('.', "/"))), last),
        None => (Some(body), path),
    };
    if let Some(Value::Object(fields)) = parent {
        fields.remove(last);
    }
}

fn value(path: &str, wanted: &Value, found: &Value, seen: &Seen<'_>) -> Checked {
    let Value::Object(tests) = wanted else {
        let wanted = sized(wanted, found, seen);
        return verdict(wanted == *found, || format!("{path} to be {wanted}"), found);
    };
    for (test, with) in tests {
        let with = &sized(with, found, seen);
        let number = |value: &Value| value.as_u64();
        let (holds, words) = match test.as_str() {
            "at-least" => (number(found) >= number(with) && found.is_u64(), "at least"),
            "at-most" => (number(found) <= number(with) && found.is_u64(), "at most"),
            "not" => (found != with && !found.is_null(), "anything but"),
            "one-of" => (items(with).contains(found), "one of"),
            "has" => (items(with).iter().all(|item| has(found, item)), "to have"),
            "lacks" => (!items(with).iter().any(|item| has(found, item)), "not to have"),
            "contains" => (contains(found, with), "to contain"),
            "length" => (length(found) == number(with), "of length"),
            "same-as" | "differs-from" | "more-than-in" => {
                compared(path, test, with, found, seen)?;
                continue;
            }
            "same-as-manifest" => {
                let key = with.as_str().unwrap_or_default();
                let said = at(seen.manifest, key);
                let expected = || format!("{path} to be {} as in plugin.toml", cut(said));
                verdict(said == found, expected, found)?;
                continue;
            }
            "each" => {
                for item in items(found) {
                    value(&format!("each of {path}"), with, item, seen)?;
                }
                continue;
            }
            _ => (false, "nothing: the case is wrong about"),
        };
        verdict(holds, || format!("{path} {words} {}", cut(with)), found)?;
    }
    Ok(())
}

/// Compares a value with one of an earlier answer.
fn compared(path: &str, test: &str, with: &Value, found: &Value, seen: &Seen<'_>) -> Checked {
    let text = with.as_str().unwrap_or_default();
    let (step, other) = text.split_once('.').unwrap_or((text, path));
    let before = seen
        .answers
        .get(step)
        .map_or(&Value::Null, |answer| at(&answer.body, other));
    let (holds, words) = match test {
        "same-as" => (before == found, "as it was"),
        "differs-from" => (before != found && !found.is_null(), "other than it was"),
        _ => (found.as_u64() > before.as_u64(), "more than it was"),
    };
    let expected = || format!("{path} {words} in step {step:?}: {}", cut(before));
    verdict(holds, expected, found)
}

fn verdict(holds: bool, expected: impl FnOnce() -> String, found: &Value) -> Checked {
    if holds {
        return Ok(());
    }
    Err(Mismatch {
        expected: expected(),
        came: cut(found),
    })
}

fn cut(value: &Value) -> String {
    /// Characters: a list of a hundred scores is not read.
    const SHOWN: usize = 120;
    let text = value.to_string();
    let shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        format!("{shown}...")
    } else {
        text
    }
}

/// A size in words becomes its number where a number stands.
fn sized(wanted: &Value, found: &Value, seen: &Seen<'_>) -> Value {
    match wanted {
        Value::String(text) if !found.is_string() => {
            (seen.size)(text).map_or_else(|| wanted.clone(), Value::from)
        }
        other => other.clone(),
    }
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        other => std::slice::from_ref(other),
    }
}

fn has(found: &Value, item: &Value) -> bool {
    match (found, item) {
        (Value::Array(items), item) => items.contains(item),
        (Value::Object(fields), Value::String(key)) => fields.contains_key(key),
        _ => false,
    }
}

fn contains(found: &Value, part: &Value) -> bool {
    matches!((found, part), (Value::String(text), Value::String(part)) if text.contains(part.as_str()))
}

fn length(found: &Value) -> Option<u64> {
    match found {
        Value::Array(items) => Some(items.len() as u64),
        Value::Object(fields) => Some(fields.len() as u64),
        Value::String(text) => Some(text.len() as u64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expect(text: &str) -> Expect {
        toml::from_str(text).unwrap()
    }

    fn check(text: &str, answer: &Answer) -> Checked {
        let before = Answer::new(Is::Some, json!({"size": 5, "id": "a"}));
        let answers = BTreeMap::from([("before".to_owned(), before)]);
        let size = |text: &str| (text == "2x").then_some(8);
        let manifest = json!({"name": "a"});
        let seen = Seen {
            answers: &answers,
            manifest: &manifest,
            size: &size,
        };
        expect(text).check(answer, &seen)
    }

    #[test]
    fn an_answer_is_compared_by_kind_values_and_earlier_answers() {
        let answer = Answer::new(Is::Some, json!({"size": 8, "id": "a", "list": ["x", "y"]}));
        for good in [
            "is = \"some\"",
            "is = [\"none\", \"some\"]",
            "where.size = 8",
            "where.size = \"2x\"",
            "where.size = { at-least = 8, more-than-in = \"before\" }",
            "where.list = { has = [\"x\"], lacks = \"z\", length = 2, each = { one-of = [\"x\", \"y\"] } }",
            "where.size = { differs-from = \"before\" }",
            "where.id = { same-as = \"before\", same-as-manifest = \"name\" }",
            "where.\"list.1\" = \"y\"",
            "same-as = \"before\"\nexcept = [\"size\", \"list\"]",
            "differs-from = \"before\"",
        ] {
            assert_eq!(check(good, &answer), Ok(()), "{good}");
        }
        for bad in [
            "is = \"done\"",
            "fault = \"busy\"",
            "where.size = 9",
            "where.size = { at-most = 7 }",
            "where.nothing = { at-least = 0 }",
            "where.list = { has = \"z\" }",
            "where.size = { same-as-manifest = \"name\" }",
            "where.nothing = { not = 1 }",
            "where.list = { each = { one-of = [\"x\"] } }",
            "where.size = { same-as = \"before\" }",
            "same-as = \"before\"",
            "where.size = { resembles = 8 }",
        ] {
            assert!(check(bad, &answer).is_err(), "{bad}");
        }
    }

    #[test]
    fn faults_are_compared_by_code_and_not_by_their_words() {
        let fault = velum_model::fault::Fault::unchanged(5, "the volume is published");
        let answer = Answer::of_fault(&fault);
        assert_eq!(
            check("fault = [\"busy\", \"denied\"]\nunchanged = true", &answer),
            Ok(())
        );
        let other = Answer::new(Is::Some, json!({"size": 5, "id": "b"}));
        let missed = check("same-as = \"before\"", &other).unwrap_err();
        assert!(
            missed.expected.ends_with("where id was \"a\"") && missed.came == "\"b\"",
            "{missed:?}"
        );
        let missed = check("fault = \"denied\"", &answer).unwrap_err();
        assert_eq!(missed.expected, "fault denied");
        assert!(missed.came.contains("fault busy, unchanged"), "{}", missed.came);
    }
}
