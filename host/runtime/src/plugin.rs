//! A loaded plugin: what all its instances share.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
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

/// Configurations under which a policy is looked at beside those that decide, and whose failures are remembered: a zone has some
/// shadows and an operator who tries.
const ASIDE: usize = 64;

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
    breaker: Arc<Breaker>,
    /// Of policies that decide nothing, by the hash of their configuration.
    aside: Mutex<HashMap<u64, Arc<Breaker>>>,
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
            breaker: Arc::new(bounds.breaker()),
            aside: Mutex::default(),
            bounds,
            clock,
        }
    }

    /// Asks the breaker to make a call.
    ///
    /// # Errors
    /// [`Open`] when it must not be made now.
    pub fn enter(&self) -> Result<(), Open> {
        self.enter_by(&self.breaker)
    }

    /// The same of one of its breakers.
    ///
    /// # Errors
    /// As there.
    pub fn enter_by(&self, breaker: &Breaker) -> Result<(), Open> {
        breaker.enter(self.clock.now())
    }

    /// That of what decides or drives something.
    pub fn breaker(&self) -> Arc<Breaker> {
        Arc::clone(&self.breaker)
    }

    /// That of a policy under a configuration which is only looked at: what it does wrong there says nothing of those that decide, nor
    /// of another configuration.
    pub fn breaker_aside(&self, config: &str) -> Arc<Breaker> {
        let mut hasher = DefaultHasher::new();
        config.hash(&mut hasher);
        let key = hasher.finish();
        let mut aside = self.aside.lock();
        if aside.len() >= ASIDE && !aside.contains_key(&key) {
            aside.clear();
        }
        let known = aside.entry(key);
        Arc::clone(known.or_insert_with(|| Arc::new(self.bounds.breaker())))
    }

    /// A call ended.
    pub fn ended(&self, end: End, took: Duration, fuel: u64) {
        self.counters.call(end, took, fuel);
        if end.is_misbehaviour() {
            self.misbehaved(&self.breaker);
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

    /// A call trapped, came late or answered what did not pass the checks, after it was counted. Only what decides or drives something
    /// counts among its breaks: nobody waits for the rest.
    pub fn misbehaved(&self, breaker: &Breaker) {
        if !breaker.failed(self.clock.now()) {
            return;
        }
        let plugin = self.manifest.name.as_str();
        if std::ptr::eq(breaker, Arc::as_ptr(&self.breaker)) {
            self.counters.broke();
            tracing::warn!(plugin, digest = %self.digest, "the plugin's breaker opened: it failed several times in a row");
        } else {
            tracing::info!(plugin, digest = %self.digest, "the policy failed several times in a row where it decides nothing (an evaluation, \
                a replay, a shadow or a trial): it is not asked there with this configuration for a while");
        }
    }
}
