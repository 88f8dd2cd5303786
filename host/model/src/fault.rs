//! What a plugin, a node or a far side answers when it did not do what it was asked. Mirrors
//! `velum:common/types.fault`.

use serde::{Deserialize, Serialize};

/// Codes of [`Fault`], an open space: 1 to 999 are known to the server, a plugin's own begin at 1000.
pub mod code {
    /// The request can never succeed here.
    pub const UNSUPPORTED: u16 = 1;
    /// What was named does not exist.
    pub const NOT_FOUND: u16 = 2;
    /// It exists, but made for something else.
    pub const EXISTS_DIFFERENT: u16 = 3;
    /// The far side has no room.
    pub const EXHAUSTED: u16 = 4;
    /// The far side is busy with this object; try again.
    pub const BUSY: u16 = 5;
    /// The grant does not allow it.
    pub const DENIED: u16 = 6;
    /// A newer owner or incarnation has been seen: this caller must stop.
    pub const FENCED: u16 = 7;
    /// The far side does not answer; whether it acted is not known.
    pub const UNREACHABLE: u16 = 8;
    /// Cancelled on request.
    pub const CANCELLED: u16 = 9;
    /// The arguments are wrong.
    pub const INVALID: u16 = 10;
    /// The deadline passed; whether it acted is not known.
    pub const DEADLINE: u16 = 11;
    /// The plugin trapped; whether it acted is not known.
    pub const TRAPPED: u16 = 12;
    /// The plugin's answer did not pass the server's checks.
    pub const NONSENSE: u16 = 13;
    /// The plugin is not loaded, its breaker is open, or it exceeded a limit.
    pub const UNAVAILABLE: u16 = 14;
    /// The far side failed by itself.
    pub const FAILED: u16 = 15;
    /// An image is not what it claims to be (checksum, format, backing file).
    pub const BAD_IMAGE: u16 = 16;
}

/// A refusal or a failure. `detail` is for the operator and never reaches a tenant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{} ({code}): {detail}", name_of(*code))]
pub struct Fault {
    /// See [`code`].
    pub code: u16,
    /// True only if it is certain that nothing changed: then the server may compensate or go elsewhere without
    /// observing first.
    pub unchanged: bool,
    /// When to try again, if the far side said so.
    pub retry_after_ms: Option<u32>,
    /// In words, for the operator.
    pub detail: String,
}

/// The name of a code, as the WIT documentation and the logs spell it.
#[must_use]
pub const fn name_of(code: u16) -> &'static str {
    match code {
        code::UNSUPPORTED => "unsupported",
        code::NOT_FOUND => "not-found",
        code::EXISTS_DIFFERENT => "exists-different",
        code::EXHAUSTED => "exhausted",
        code::BUSY => "busy",
        code::DENIED => "denied",
        code::FENCED => "fenced",
        code::UNREACHABLE => "unreachable",
        code::CANCELLED => "cancelled",
        code::INVALID => "invalid",
        code::DEADLINE => "deadline",
        code::TRAPPED => "trapped",
        code::NONSENSE => "nonsense",
        code::UNAVAILABLE => "unavailable",
        code::FAILED => "failed",
        code::BAD_IMAGE => "bad-image",
        _ => "other",
    }
}

impl Fault {
    /// A fault of which it is not known whether anything changed.
    #[must_use]
    pub fn new(code: u16, detail: impl Into<String>) -> Self {
        Self {
            code,
            unchanged: false,
            retry_after_ms: None,
            detail: detail.into(),
        }
    }

    /// A fault that certainly changed nothing.
    #[must_use]
    pub fn unchanged(code: u16, detail: impl Into<String>) -> Self {
        Self {
            code,
            unchanged: true,
            retry_after_ms: None,
            detail: detail.into(),
        }
    }

    /// Whether trying the same again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self.code,
            code::BUSY
                | code::UNREACHABLE
                | code::DEADLINE
                | code::TRAPPED
                | code::UNAVAILABLE
                | code::FAILED
        )
    }
}
