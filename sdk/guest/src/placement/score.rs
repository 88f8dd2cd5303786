//! What a policy says of a row.

use crate::codes::placement::REFUSE;

/// A score, or a refusal. Higher is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score(u32);

impl Score {
    /// The best score there is.
    pub const BEST: Self = Self(REFUSE - 1);

    /// The refusal of a row for which a policy read a column that it had not declared.
    pub(crate) const UNDECLARED: Self = Self(u32::MAX);

    /// The code and the words of that refusal.
    pub(crate) const UNDECLARED_WORDS: (u16, &'static str) = (
        u16::MAX,
        "the policy reads a column or attribute that it does not declare",
    );

    /// A score: any number; beyond [`Score::BEST`] it is the best.
    #[must_use]
    pub const fn of(score: u32) -> Self {
        if score >= REFUSE { Self::BEST } else { Self(score) }
    }

    /// A refusal by one of the policy's own codes, put in words by `Declaration::refusal`.
    #[must_use]
    pub const fn refuse(code: u16) -> Self {
        Self(REFUSE + code as u32)
    }

    /// The code, if it is a refusal.
    #[must_use]
    pub const fn refusal(self) -> Option<u16> {
        if self.0 >= REFUSE {
            Some((self.0 - REFUSE) as u16)
        } else {
            None
        }
    }

    /// One that travelled.
    pub(crate) const fn received(value: u32) -> Self {
        Self(value)
    }

    /// As it travels.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}
