//! What every driver and provider speaks of (`velum:common/types`), with short ways to build and read it.

pub use crate::bindings::imports::velum::common::types::{
    Attachment, Attr, Effect, Fault, Initiator, Job, Outcome, Run, Target, Value,
};
use crate::codes::fault as code;

/// Bit of an attribute's code that says: refuse what you do not know.
const CRITICAL: u16 = 0x4000;
/// Codes from here on belong to vendors; the bit means the same there.
const VENDOR: u16 = 0x8000;

impl Fault {
    /// A fault of which it is not known whether anything changed. `code` is one of [`crate::codes::fault`] or from 1000.
    #[must_use]
    pub fn new(code: u16, detail: impl Into<String>) -> Self {
        Self {
            code,
            unchanged: false,
            retry_after_ms: None,
            detail: detail.into(),
            attrs: Vec::new(),
        }
    }

    /// A fault that certainly changed nothing.
    #[must_use]
    pub fn unchanged(code: u16, detail: impl Into<String>) -> Self {
        Self {
            unchanged: true,
            ..Self::new(code, detail)
        }
    }

    /// The request can never succeed here; nothing changed.
    #[must_use]
    pub fn unsupported(detail: impl Into<String>) -> Self {
        Self::unchanged(code::UNSUPPORTED, detail)
    }

    /// The arguments are wrong; nothing changed.
    #[must_use]
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::unchanged(code::INVALID, detail)
    }

    /// What was named does not exist; nothing changed.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::unchanged(code::NOT_FOUND, detail)
    }

    /// The same fault with when to try again.
    #[must_use]
    pub fn retry_after(mut self, milliseconds: u32) -> Self {
        self.retry_after_ms = Some(milliseconds);
        self
    }

    /// The same fault with what was attempted before its detail.
    #[must_use]
    pub fn during(mut self, attempt: &str) -> Self {
        self.detail = format!("{attempt}: {}", self.detail);
        self
    }
}

impl Attr {
    /// A number under a code.
    #[must_use]
    pub const fn number(code: u16, value: u64) -> Self {
        Self {
            code,
            value: Value::Number(value),
        }
    }

    /// A text under a code.
    #[must_use]
    pub fn text(code: u16, value: impl Into<String>) -> Self {
        Self {
            code,
            value: Value::Text(value.into()),
        }
    }

    /// Bytes under a code.
    #[must_use]
    pub fn bytes(code: u16, value: impl Into<Vec<u8>>) -> Self {
        Self {
            code,
            value: Value::Bytes(value.into()),
        }
    }

    /// Yes or no under a code.
    #[must_use]
    pub const fn flag(code: u16, value: bool) -> Self {
        Self {
            code,
            value: Value::Flag(value),
        }
    }

    /// Whether whoever does not know it must refuse.
    #[must_use]
    pub const fn is_critical(&self) -> bool {
        self.code & CRITICAL != 0
    }

    /// Whether the code is a vendor's.
    #[must_use]
    pub const fn is_vendors(&self) -> bool {
        self.code & VENDOR != 0
    }
}

/// Reading a list of attributes by code.
pub trait Attrs {
    /// The text under a code.
    fn text(&self, code: u16) -> Option<&str>;
    /// The number under a code.
    fn number(&self, code: u16) -> Option<u64>;
    /// The flag under a code.
    fn flag(&self, code: u16) -> Option<bool>;
    /// Refuses attributes that are critical and none of `known`.
    ///
    /// # Errors
    /// `unsupported`, with the code.
    fn refuse_unknown(&self, known: &[u16]) -> Result<(), Fault>;
}

impl Attrs for [Attr] {
    fn text(&self, code: u16) -> Option<&str> {
        self.iter().find_map(|attr| match &attr.value {
            Value::Text(text) if attr.code == code => Some(text.as_str()),
            _ => None,
        })
    }

    fn number(&self, code: u16) -> Option<u64> {
        self.iter().find_map(|attr| match attr.value {
            Value::Number(number) if attr.code == code => Some(number),
            _ => None,
        })
    }

    fn flag(&self, code: u16) -> Option<bool> {
        self.iter().find_map(|attr| match attr.value {
            Value::Flag(flag) if attr.code == code => Some(flag),
            _ => None,
        })
    }

    fn refuse_unknown(&self, known: &[u16]) -> Result<(), Fault> {
        match self
            .iter()
            .find(|attr| attr.is_critical() && !known.contains(&attr.code))
        {
            None => Ok(()),
            Some(attr) => Err(Fault::unsupported(format!(
                "attribute {:#06x} is critical and not known here",
                attr.code
            ))),
        }
    }
}

impl Outcome {
    /// It is so, and there is nothing to say of it.
    #[must_use]
    pub const fn done() -> Self {
        Self::Done(Vec::new())
    }

    /// It will be; ask again after so many milliseconds. Without known progress, not to be cancelled.
    #[must_use]
    pub fn working(token: impl Into<String>, poll_after_ms: u32, note: impl Into<String>) -> Self {
        Self::Working(Job {
            token: token.into(),
            poll_after_ms,
            permyriad: None,
            cancellable: false,
            note: note.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_critical_attributes_that_nobody_knows_are_refused() {
        let attrs = [
            Attr::text(1, "a"),
            Attr::number(0x4002, 2),
            Attr::flag(0x8003, true),
        ];
        assert_eq!(attrs.refuse_unknown(&[0x4002]), Ok(()));
        let fault = attrs.refuse_unknown(&[1]).unwrap_err();
        assert!(
            fault.unchanged && fault.detail.contains("0x4002"),
            "{}",
            fault.detail
        );
        assert_eq!(
            (attrs.text(1), attrs.number(1), attrs.flag(0x8003)),
            (Some("a"), None, Some(true))
        );
    }
}
