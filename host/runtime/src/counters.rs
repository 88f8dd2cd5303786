//! What a plugin did, counted without locks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use velum_model::{plugin::Digest, port::plugins::PluginStats};

/// How a call ended, for the counters and the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With an answer that passed the checks.
    Answered,
    /// With a fault that the plugin answered: its far side's trouble, not its own.
    Refused,
    /// With a trap.
    Trapped,
    /// Out of time or fuel.
    Late,
    /// With an answer that did not pass the checks.
    Nonsense,
}

impl End {
    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Trapped => "trapped",
            Self::Late => "late",
            Self::Nonsense => "nonsense",
        }
    }

    /// Whether the plugin itself misbehaved.
    #[must_use]
    pub const fn is_misbehaviour(self) -> bool {
        matches!(self, Self::Trapped | Self::Late | Self::Nonsense)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Counters {
    calls: AtomicU64,
    failures: AtomicU64,
    traps: AtomicU64,
    deadlines: AtomicU64,
    denials: AtomicU64,
    fuel: AtomicU64,
    micros: AtomicU64,
    starts: Arc<AtomicU64>,
    breaks: AtomicU64,
}

impl Counters {
    /// A call ended.
    pub fn call(&self, end: End, took: Duration, fuel: u64) {
        self.calls.fetch_add(1, Relaxed);
        self.micros
            .fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        self.fuel.fetch_add(fuel, Relaxed);
        if end != End::Answered {
            self.failures.fetch_add(1, Relaxed);
        }
        match end {
            End::Trapped => self.traps.fetch_add(1, Relaxed),
            End::Late => self.deadlines.fetch_add(1, Relaxed),
            End::Answered | End::Refused | End::Nonsense => 0,
        };
    }

    /// The counter of starts of its process.
    pub fn starts(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.starts)
    }

    /// A host call was refused by the grant.
    pub fn denied(&self) {
        self.denials.fetch_add(1, Relaxed);
    }

    /// Its breaker opened.
    pub fn broke(&self) {
        self.breaks.fetch_add(1, Relaxed);
    }

    /// The counters as they are now, and for how long the breaker still refuses calls.
    pub fn stats(&self, digest: &Digest, name: &str, refused_for_ms: Option<u64>) -> PluginStats {
        PluginStats {
            digest: digest.clone(),
            name: name.to_owned(),
            calls: self.calls.load(Relaxed),
            failures: self.failures.load(Relaxed),
            traps: self.traps.load(Relaxed),
            deadlines: self.deadlines.load(Relaxed),
            denials: self.denials.load(Relaxed),
            fuel: self.fuel.load(Relaxed),
            micros: self.micros.load(Relaxed),
            starts: self.starts.load(Relaxed),
            breaks: self.breaks.load(Relaxed),
            refused_for_ms,
        }
    }
}
