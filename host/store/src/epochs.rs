//! The epochs that this server owns, shared by the writer, the keeper and the readers.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use velum_model::{ShardId, time::Clock};

/// One shard that is owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    epoch: u64,
    /// On the steady clock; none where nobody else could take it.
    until: Option<Duration>,
}

/// Shard to epoch. What was not renewed in time is not owned any more, whether anybody has noticed or not.
#[derive(Clone)]
pub(crate) struct Epochs {
    held: Arc<RwLock<HashMap<ShardId, Held>>>,
    /// How long a shard may be used after it was claimed or renewed; unset while the database is this server's alone.
    usable: Arc<OnceLock<Duration>>,
    /// The first shard of a database of this server's own that another took, and under which epoch.
    taken: Arc<OnceLock<(ShardId, u64)>>,
    /// When the writer last began something that then became durable.
    wrote: Arc<RwLock<Option<Duration>>>,
    clock: Arc<dyn Clock>,
}

impl Epochs {
    /// Nothing yet.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            held: Arc::default(),
            usable: Arc::default(),
            taken: Arc::default(),
            wrote: Arc::default(),
            clock,
        }
    }

    /// From now on shards are owned for so long after each renewal, those too that are owned already.
    pub(crate) fn expire_after(&self, usable: Duration) {
        if self.usable.set(usable).is_ok() {
            let until = self.clock.steady().saturating_add(usable);
            let mut all = self.held.write().unwrap_or_else(PoisonError::into_inner);
            all.values_mut().for_each(|held| held.until = Some(until));
        }
    }

    /// Whether other servers may work on the same database.
    pub(crate) fn are_shared(&self) -> bool {
        self.usable.get().is_some()
    }

    /// The writer wrote something that it began at `since`.
    pub(crate) fn wrote(&self, since: Duration) {
        *self.wrote.write().unwrap_or_else(PoisonError::into_inner) = Some(since);
    }

    /// Whether the writer has written for as short a time ago as a shard may be used without a renewal: what is claimed
    /// without it is answered by nobody.
    pub(crate) fn can_write(&self) -> bool {
        let wrote = *self.wrote.read().unwrap_or_else(PoisonError::into_inner);
        let since = wrote.map(|at| self.clock.steady().saturating_sub(at));
        self.usable
            .get()
            .is_none_or(|usable| since.is_some_and(|since| since < *usable))
    }

    /// The moment to measure ownership from: taken before the database is asked.
    pub(crate) fn now(&self) -> Duration {
        self.clock.steady()
    }

    /// The epoch of a shard that is owned now.
    pub(crate) fn get(&self, shard: ShardId) -> Option<u64> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let held = held.get(&shard)?;
        self.is_current(held).then_some(held.epoch)
    }

    /// All that are owned now, in the order of their ids.
    pub(crate) fn all(&self) -> Vec<(ShardId, u64)> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let current = held.iter().filter(|(_, held)| self.is_current(held));
        let mut all: Vec<_> = current.map(|(shard, held)| (*shard, held.epoch)).collect();
        all.sort_unstable();
        all
    }

    /// A shard is owned, as of `since`.
    pub(crate) fn hold(&self, shard: ShardId, epoch: u64, since: Duration) {
        let until = self.usable.get().map(|usable| since.saturating_add(*usable));
        let held = Held { epoch, until };
        let mut all = self.held.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(shard, held);
    }

    /// A shard that is owned under this epoch still is, as of `since`. One that ran out meanwhile stays lost: whoever
    /// dropped what it kept of it must take it anew.
    pub(crate) fn renew(&self, shard: ShardId, epoch: u64, since: Duration) {
        let until = self.usable.get().map(|usable| since.saturating_add(*usable));
        let mut all = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = all.get_mut(&shard)
            && held.epoch == epoch
            && self.is_current(held)
        {
            held.until = until;
        }
    }

    /// The database says that a shard which was used under the epoch `was` has the epoch `now`: it is not owned any more,
    /// unless it was claimed anew meanwhile.
    pub(crate) fn found(&self, shard: ShardId, was: u64, now: u64) {
        let mut all = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if now > was && all.get(&shard).is_some_and(|held| held.epoch == was) {
            all.remove(&shard);
            if !self.are_shared() {
                // Only the first is told of; whoever hears of it ends.
                self.taken.get_or_init(|| (shard, now));
            }
        }
    }

    /// Which shard of a database of this server's own another took.
    pub(crate) fn taken(&self) -> Option<(ShardId, u64)> {
        self.taken.get().copied()
    }

    /// A shard is not owned any more.
    pub(crate) fn drop_shard(&self, shard: ShardId) {
        let mut all = self.held.write().unwrap_or_else(PoisonError::into_inner);
        all.remove(&shard);
    }

    fn is_current(&self, held: &Held) -> bool {
        held.until.is_none_or(|until| self.clock.steady() < until)
    }
}
