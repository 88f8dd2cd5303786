//! A loaded plugin: what all its instances share.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use velum_model::{
    plugin::{Digest, Manifest},
    port::plugins::PluginStats,
    time::Clock,
};

use crate::{
    breaker::{Breaker, Open},
    counters::{Counters, End},
    grant::log::LogBook,
    limits::{Limits, PluginLimits},
};

/// What calls into drivers and providers are traced under: `[log] filter = "info,velum::plugin=debug"`; with `trace` what they ask
/// of the server too.
pub const TRACE: &str = "velum::plugin";

/// What the instances of one plugin share.
pub struct Shared {
    /// Which.
    pub digest: Digest,
    /// What it asked for.
    pub manifest: Manifest,
    /// Its limits.
    pub limits: PluginLimits,
    /// The server's.
    pub bounds: Arc<Limits>,
    /// Its log.
    pub log: LogBook,
    /// What it did.
    pub counters: Counters,
    /// Calls of it that may run at once.
    pub in_flight: Semaphore,
    breaker: Breaker,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("digest", &self.digest)
            .field("name", &self.manifest.name)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// A plugin that did nothing yet.
    #[must_use]
    pub fn new(
        digest: Digest,
        manifest: Manifest,
        limits: PluginLimits,
        bounds: Arc<Limits>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let log = LogBook::new(manifest.name.as_str().to_owned(), Arc::clone(&clock));
        Self {
            digest,
            manifest,
            limits,
            log,
            counters: Counters::default(),
            in_flight: Semaphore::new(limits.calls_in_flight),
            breaker: Breaker::new(bounds.breaker_failures, bounds.breaker_pause_ms),
            bounds,
            clock,
        }
    }

    /// Asks the breaker to make a call.
    ///
    /// # Errors
    /// [`Open`] when it must not be made now.
    pub fn enter(&self) -> Result<(), Open> {
        self.breaker.enter(self.clock.now())
    }

    /// A call ended.
    pub fn ended(&self, end: End, took: Duration, fuel: u64) {
        self.counters.call(end, took, fuel);
        if end.is_misbehaviour() {
            self.misbehaved();
        } else {
            self.worked();
        }
    }

    /// What it did, and whether calls into it are made now.
    pub fn stats(&self) -> PluginStats {
        let pause = self.breaker.pause(self.clock.now());
        self.counters
            .stats(&self.digest, self.manifest.name.as_str(), pause)
    }

    /// A call worked.
    pub fn worked(&self) {
        self.breaker.worked();
    }

    /// An answer did not pass the checks, after the call was counted.
    pub fn misbehaved(&self) {
        if self.breaker.failed(self.clock.now()) {
            self.counters.broke();
            tracing::warn!(
                plugin = self.manifest.name.as_str(),
                digest = %self.digest,
                "the plugin's breaker opened: it failed several times in a row"
            );
        }
    }
}
