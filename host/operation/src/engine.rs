//! The engine: holds the unfinished operations of the shards that this server owns and drives each when it is due.
//!
//! The database is the truth, what is in memory a working copy: operations come in as their commits become durable
//! (`Engine::offer`, called by the store's observer) and, at start or when too many were there, from the database.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;
use velum_model::{
    Timestamp,
    chance::Ids,
    id::*,
    operation::{Operation, OperationState, Subject},
    port::{node::Nodes, plugins::Plugins},
    time::Clock,
};
use velum_store::{Commit, Committed, OperationWrite, Store, StoreError};

use crate::{Replan, drive, resuming::Resuming};

/// Told of every commit of an engine before it is sent and after it was answered. The suites stop an engine there, as a
/// crash or a machine that stalls would; a server has none.
#[async_trait]
pub trait Checkpoint: Send + Sync {
    /// What it acted on is done, what it is about to record is not yet.
    async fn before(&self, commit: &Commit);
    /// It is durable, or was refused; the engine does not know it yet.
    async fn after(&self, commit: &Commit, is_durable: bool);
}

/// What the engine works with.
pub struct EngineParts {
    /// Operations and rows.
    pub store: Store,
    /// Drivers and providers.
    pub plugins: Arc<dyn Plugins>,
    /// Nodes and image stores.
    pub nodes: Arc<dyn Nodes>,
    /// Places retries elsewhere.
    pub replan: Arc<dyn Replan>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub ids: Arc<dyn Ids>,
    /// Bounds.
    pub limits: EngineLimits,
}

/// Bounds of the engine, each with its reason.
#[derive(Clone, Copy, Debug)]
pub struct EngineLimits {
    /// Operations driven at the same time. Each holds at most one call of a plugin; the far sides and the plugins'
    /// own semaphores bound the rest. 256 is also what one group commit takes.
    pub in_flight: usize,
    /// Operations held in memory; more wait in the database. At 2 KiB each, 20,000 are 40 MiB.
    pub loaded: usize,
    /// Tries of a step before the pivot before it is undone: a far side that is busy for a moment answers by the third.
    pub attempts_before_pivot: u16,
    /// Tries of a step after the pivot, and of an undo, before the operation is parked. With the back-off this is
    /// about ten minutes: longer than a restart of a far side.
    pub attempts_after_pivot: u16,
    /// Other compute hosts that are tried.
    pub elsewhere: usize,
    /// The first back-off; it doubles up to 64 times that.
    pub backoff_ms: u64,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            in_flight: 256,
            loaded: 20_000,
            attempts_before_pivot: 5,
            attempts_after_pivot: 20,
            elsewhere: 2,
            backoff_ms: 500,
        }
    }
}

/// What the tasks of the engine share.
pub struct Shared {
    pub(crate) parts: EngineParts,
    checkpoint: Option<Arc<dyn Checkpoint>>,
    queue: Mutex<Queue>,
    wake: Notify,
    permits: Arc<Semaphore>,
    /// One fill of a layer at a time: 500 creates that wait for one template wait here.
    pub(crate) layers: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Default)]
struct Queue {
    due: BTreeMap<(Timestamp, OperationId), Operation>,
    at: HashMap<OperationId, Timestamp>,
    in_flight: HashSet<OperationId>,
    by_subject: HashMap<Uuid, BTreeSet<OperationId>>,
    subjects: HashMap<OperationId, Uuid>,
    cancelled: HashSet<OperationId>,
    /// The shards whose operations are held, with the epoch under which they were taken in.
    owned: HashMap<ShardId, u64>,
    /// Parked, and their tasks have not ended yet.
    parked: HashSet<OperationId>,
    /// Of these, what an operator let go on meanwhile.
    resumed: HashMap<OperationId, Operation>,
    /// What was in flight when its shard came to be owned here.
    resuming: Resuming,
    overflowed: bool,
    stopping: bool,
}

impl Queue {
    fn len(&self) -> usize {
        self.due.len() + self.in_flight.len()
    }

    fn put(&mut self, operation: Operation) {
        let key = (operation.due_at, operation.id);
        self.subjects.insert(operation.id, operation.subject.uuid());
        self.by_subject
            .entry(operation.subject.uuid())
            .or_default()
            .insert(operation.id);
        self.at.insert(operation.id, operation.due_at);
        self.due.insert(key, operation);
    }

    fn take_due(&mut self, now: Timestamp) -> Option<Operation> {
        let key = *self.due.first_key_value().filter(|((due, _), _)| *due <= now)?.0;
        let operation = self.due.remove(&key)?;
        self.at.remove(&operation.id);
        self.in_flight.insert(operation.id);
        Some(operation)
    }

    /// Lets go of what waits of a shard. What is in flight finds out by itself.
    fn let_go(&mut self, shard: ShardId) {
        let waiting: Vec<OperationId> = self
            .due
            .values()
            .filter(|operation| operation.shard == shard)
            .map(|operation| operation.id)
            .collect();
        for id in waiting {
            self.resuming.forget(id);
            self.forget(id);
        }
    }

    fn knows(&self, id: OperationId) -> bool {
        self.in_flight.contains(&id) || self.at.contains_key(&id)
    }

    fn forget(&mut self, id: OperationId) {
        self.in_flight.remove(&id);
        self.cancelled.remove(&id);
        self.parked.remove(&id);
        if let Some(at) = self.at.remove(&id) {
            self.due.remove(&(at, id));
        }
        if let Some(subject) = self.subjects.remove(&id)
            && let Some(ids) = self.by_subject.get_mut(&subject)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_subject.remove(&subject);
            }
        }
    }
}

/// The engine of one server.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl Engine {
    /// An engine at rest; [`Engine::run`] drives it.
    #[must_use]
    pub fn new(parts: EngineParts) -> Self {
        Self::with(parts, None)
    }

    /// An engine that is stopped at its commits by whoever wants to see what becomes of its work then.
    #[must_use]
    pub fn watched(parts: EngineParts, checkpoint: Arc<dyn Checkpoint>) -> Self {
        Self::with(parts, Some(checkpoint))
    }

    fn with(parts: EngineParts, checkpoint: Option<Arc<dyn Checkpoint>>) -> Self {
        let permits = Arc::new(Semaphore::new(parts.limits.in_flight));
        let shared = Shared {
            parts,
            checkpoint,
            queue: Mutex::default(),
            wake: Notify::new(),
            permits,
            layers: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// A commit became durable: takes in the operation that it began or that an operator let go on, and passes on a wish
    /// to cancel another.
    pub fn offer(&self, commit: &Commit) {
        match &commit.operation {
            Some(OperationWrite::Insert {
                operation,
                locks,
                preempts,
            }) => self.offer_new(operation, locks, *preempts),
            Some(OperationWrite::Update(operation)) => self.offer_changed(operation),
            None => {}
        }
    }

    fn offer_new(&self, operation: &Operation, locks: &[Subject], preempts: bool) {
        if self.shared.parts.store.epoch(operation.shard).is_none() {
            return;
        }
        let mut queue = self.shared.queue.lock();
        if preempts {
            for subject in locks {
                let holders = queue.by_subject.get(&subject.uuid()).cloned().unwrap_or_default();
                for id in holders {
                    if id == operation.id {
                        continue;
                    }
                    queue.cancelled.insert(id);
                    if let Some(at) = queue.at.remove(&id)
                        && let Some(mut waiting) = queue.due.remove(&(at, id))
                    {
                        waiting.due_at = operation.created_at;
                        queue.put(waiting);
                    }
                }
            }
        }
        if queue.len() >= self.shared.parts.limits.loaded {
            queue.overflowed = true;
        } else if !queue.knows(operation.id) && !operation.state.has_ended() {
            queue.put(operation.clone());
        }
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// What is in flight is changed by its own task. Anything else that is changed and not at rest was parked, and an
    /// operator let it go on; perhaps before the task that parked it has ended.
    fn offer_changed(&self, operation: &Operation) {
        let id = operation.id;
        let is_at_work = matches!(operation.state, OperationState::Running | OperationState::Undoing);
        let mut queue = self.shared.queue.lock();
        if queue.in_flight.contains(&id) {
            if operation.state == OperationState::Parked {
                queue.parked.insert(id);
            } else if is_at_work && queue.parked.remove(&id) {
                queue.resumed.insert(id, after(operation));
            }
            return;
        }
        if !is_at_work || queue.knows(id) || self.shared.parts.store.epoch(operation.shard).is_none() {
            return;
        }
        if queue.len() >= self.shared.parts.limits.loaded {
            queue.overflowed = true;
        } else {
            queue.put(after(operation));
        }
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// Follows the shards that this server owns now: lets go of the operations of others, whose rows another server
    /// moves on from now on, and takes in those of new ones. Answers how many it took in.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read; then they are read again before long.
    pub async fn own(&self, shards: &[(ShardId, u64)]) -> Result<usize, StoreError> {
        let now: HashMap<ShardId, u64> = shards.iter().copied().collect();
        let is_new = {
            let mut queue = self.shared.queue.lock();
            let before = std::mem::replace(&mut queue.owned, now.clone());
            for (shard, _) in before
                .iter()
                .filter(|(shard, epoch)| now.get(shard) != Some(epoch))
            {
                queue.let_go(*shard);
            }
            now.iter().any(|(shard, epoch)| before.get(shard) != Some(epoch))
        };
        if !is_new {
            return Ok(0);
        }
        let loaded = self.take_in(true).await;
        if loaded.is_err() {
            self.shared.queue.lock().overflowed = true;
        }
        loaded
    }

    /// Takes in what the database holds: at start, after a takeover, when there was no room before.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn load(&self) -> Result<usize, StoreError> {
        self.take_in(false).await
    }

    async fn take_in(&self, resumes: bool) -> Result<usize, StoreError> {
        let limit = self.shared.parts.limits.loaded;
        let found = self
            .shared
            .parts
            .store
            .read()
            .unfinished_operations(limit as u32)
            .await?;
        let now = self.shared.parts.clock.steady();
        let mut queue = self.shared.queue.lock();
        queue.overflowed = found.len() >= limit;
        let mut taken = 0;
        for operation in found {
            let is_ours = self.shared.parts.store.epoch(operation.shard).is_some();
            if is_ours && operation.state != OperationState::Parked && !queue.knows(operation.id) {
                if resumes {
                    queue.resuming.found(operation.id, now);
                }
                queue.put(operation);
                taken += 1;
            }
        }
        drop(queue);
        self.shared.wake.notify_one();
        Ok(taken)
    }

    /// Drives operations until [`Engine::stop`]. What is in flight then ends its present step.
    pub async fn run(&self) {
        loop {
            let Ok(permit) = Arc::clone(&self.shared.permits).acquire_owned().await else {
                return;
            };
            match self.next().await {
                Some(operation) => {
                    let shared = Arc::clone(&self.shared);
                    tokio::spawn(async move {
                        shared.drive(operation).await;
                        drop(permit);
                    });
                }
                None => return,
            }
        }
    }

    /// The next operation that is due; waits for one. None once stopped.
    async fn next(&self) -> Option<Operation> {
        loop {
            let (pause, needs_load) = {
                let mut queue = self.shared.queue.lock();
                if queue.stopping {
                    return None;
                }
                let now = self.shared.parts.clock.now();
                if let Some(mut operation) = queue.take_due(now) {
                    operation.cancel_requested |= queue.cancelled.contains(&operation.id);
                    return Some(operation);
                }
                let until = queue
                    .due
                    .first_key_value()
                    .map(|((due, _), _)| due.millis_since(now).max(1));
                let low = queue.len() < self.shared.parts.limits.loaded / 2;
                (until, queue.overflowed && low)
            };
            if needs_load && let Err(error) = self.load().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not load waiting operations"
                );
            }
            // A second at most: the injected clock may have been moved meanwhile.
            let pause = Duration::from_millis(pause.unwrap_or(1000).min(1000));
            // In order, so that a simulation takes the same way each time.
            tokio::select! {
                biased;
                () = self.shared.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Stops taking operations up. What is in flight goes on until its task ends or the process does: both are safe.
    pub fn stop(&self) {
        self.shared.queue.lock().stopping = true;
        self.shared.wake.notify_one();
    }

    /// Operations that are held, due or not.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.shared.queue.lock().len()
    }

    /// What reconcilers and tests work with.
    #[must_use]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// An operation as it is after the update that names the generation it read.
fn after(update: &Operation) -> Operation {
    Operation {
        generation: update.generation + 1,
        ..update.clone()
    }
}

impl Shared {
    async fn drive(&self, operation: Operation) {
        let (id, shard) = (operation.id, operation.shard);
        let began = self.parts.store.epoch(shard);
        let mut next = drive::drive(self, operation).await;
        let now = self.parts.clock.steady();
        let mut queue = self.queue.lock();
        let resumed = queue.resuming.taken_up(id, now);
        if self.parts.store.epoch(shard) != began {
            next = drive::Next::Lost;
        }
        match next {
            drive::Next::Ended => {
                queue.forget(id);
                if let Some(resumed) = queue.resumed.remove(&id) {
                    queue.put(resumed);
                }
            }
            drive::Next::Lost => {
                queue.forget(id);
                // Owned again already: it was in flight when the shard's operations were read.
                queue.overflowed |= self.parts.store.epoch(shard).is_some();
            }
            drive::Next::Later(mut operation) => {
                queue.in_flight.remove(&id);
                if queue.cancelled.contains(&id) && !operation.cancel_requested {
                    operation.due_at = self.parts.clock.now();
                }
                queue.put(*operation);
            }
        }
        drop(queue);
        self.wake.notify_one();
        if let Some(resumed) = resumed {
            let took_ms = resumed.took.as_millis() as u64;
            tracing::info!(operations = resumed.operations, took_ms, "resumed all operations");
        }
    }

    /// Commits what an operation did or is about to do.
    pub(crate) async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let Some(checkpoint) = &self.checkpoint else {
            return self.parts.store.commit(commit).await;
        };
        checkpoint.before(&commit).await;
        let answer = self.parts.store.commit(commit.clone()).await;
        checkpoint.after(&commit, answer.is_ok()).await;
        answer
    }

    /// Whether a destroy wants this operation to stop before its pivot.
    pub(crate) fn is_cancelled(&self, id: OperationId) -> bool {
        self.queue.lock().cancelled.contains(&id)
    }

    /// The lock under which a layer is filled.
    pub(crate) fn layer_lock(&self, layer: Uuid) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.layers.lock().entry(layer).or_default())
    }

    /// Forgets the lock of a layer that is filled.
    pub(crate) fn drop_layer_lock(&self, layer: Uuid) {
        self.layers.lock().remove(&layer);
    }
}
