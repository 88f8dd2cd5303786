//! What an operator decides once for the whole server.

/// What is done with a component that nobody signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unsigned {
    /// It is refused unless the request names its very digest.
    #[default]
    Refuse,
    /// It is installed.
    Allow,
}

/// How long and how strictly a policy's new version is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probation {
    /// For how long after the change, milliseconds. 0 = not at all.
    pub for_ms: u64,
    /// Asks before anything is concluded from them.
    pub asks: u64,
    /// Failures (traps, deadlines, unusable answers) of a thousand asks that are too many.
    pub failures_permille: u64,
    /// Of a thousand asks, those for which it refused every candidate, that are too many.
    pub refusals_permille: u64,
}

impl Default for Probation {
    /// As in `config/default.toml`, where the reasons are.
    fn default() -> Self {
        Self {
            for_ms: 600_000,
            asks: 20,
            failures_permille: 100,
            refusals_permille: 500,
        }
    }
}

/// For how long a decision is kept unless told otherwise, milliseconds. As in `config/default.toml`, where the reason is.
const DECISIONS_KEPT_MS: u64 = 2_592_000_000;

/// What an operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is done with what nobody signed.
    pub unsigned: Unsigned,
    /// How new versions of policies are watched.
    pub probation: Probation,
    /// For how long a decision is kept that no instance needs any more, milliseconds.
    pub decisions_kept_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            unsigned: Unsigned::default(),
            probation: Probation::default(),
            decisions_kept_ms: DECISIONS_KEPT_MS,
        }
    }
}
