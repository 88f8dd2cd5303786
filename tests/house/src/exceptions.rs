//! `exceptions.toml`: what departs from a rule, and why.

use serde::Deserialize;

use crate::files::root;

/// All exceptions.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exceptions {
    /// Arrows between crates.
    #[serde(default)]
    pub arrow: Vec<Arrow>,
    /// Files beyond the budget.
    #[serde(default)]
    pub long_file: Vec<LongFile>,
}

/// A crate that may know another.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrow {
    pub from: String,
    pub to: String,
    pub reason: String,
}

/// A file that may be longer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongFile {
    pub path: String,
    pub lines: usize,
    pub reason: String,
}

/// Reads them.
pub fn read() -> Exceptions {
    let path = root().join("tests/house/exceptions.toml");
    let text = std::fs::read_to_string(path).expect("exceptions.toml is there");
    toml::from_str(&text).expect("exceptions.toml parses")
}

#[test]
fn every_exception_has_a_reason_that_says_something() {
    let exceptions = read();
    let reasons = exceptions.arrow.iter().map(|e| (&e.from, &e.reason));
    let reasons = reasons.chain(exceptions.long_file.iter().map(|e| (&e.path, &e.reason)));
    for (what, reason) in reasons {
        assert!(
            reason.split_whitespace().count() >= 5,
            "the exception of {what} has no reason"
        );
    }
}
