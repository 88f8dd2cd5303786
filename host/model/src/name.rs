//! Names that people give, and tags.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name: 1 to 63 characters out of `a-z A-Z 0-9 . _ -`, the first one a letter or a digit. It can stand in a file
/// name, a host name (lower-cased) and a line of a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {max} characters out of a-z, A-Z, 0-9, '.', '_' and '-', the first a letter or a digit", max = Name::MAX_LEN)]
pub struct NameError;

impl Name {
    /// The length of a DNS label, so that an instance's name can be its host name.
    pub const MAX_LEN: usize = 63;

    /// Parses a name.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, too long or has another character.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let starts_well = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        let rest_is_fine = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if starts_well && rest_is_fine && text.len() <= Self::MAX_LEN {
            Ok(Self(text))
        } else {
            Err(NameError)
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}
impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_a_host_name_and_nothing_worse() {
        for good in ["a", "web-1", "Rack.7_b", &"x".repeat(63)] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a b", "a/b", "a\n", "ä", &"x".repeat(64)] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }
}
