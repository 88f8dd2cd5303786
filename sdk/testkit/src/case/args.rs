//! The arguments of a step.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Arguments by name; each verb knows its own (`vocabulary.rs`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Args(BTreeMap<String, Value>);

impl Args {
    /// Refuses arguments that the verb does not have.
    ///
    /// # Errors
    /// Names the first.
    pub(super) fn check(&self, known: &[&str]) -> Result<(), String> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(format!("{name:?} is no argument; there are {}", known.join(", "))),
        }
    }

    /// Earlier steps that they name.
    pub(super) fn earlier(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(|(name, _)| name.as_str() == "token-of")
            .filter_map(|(_, value)| value.as_str())
    }

    /// A text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }

    /// Yes or no; what is not said is `otherwise`.
    #[must_use]
    pub fn flag(&self, name: &str, otherwise: bool) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(otherwise)
    }

    /// Numbers.
    #[must_use]
    pub fn numbers(&self, name: &str) -> Option<Vec<u32>> {
        let items = self.0.get(name)?.as_array()?;
        items
            .iter()
            .map(|item| item.as_u64().and_then(|number| u32::try_from(number).ok()))
            .collect()
    }

    /// All of them on one line, as a case writes them.
    #[must_use]
    pub fn in_words(&self) -> String {
        let words: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        words.join(" ")
    }
}
