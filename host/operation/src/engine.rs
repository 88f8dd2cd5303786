//! The engine: holds the unfinished operations of the shards that this server owns and drives each when it is due.
//!
//! The database is the truth, what is in memory a working copy: operations come in as their commits become durable
//! (`Engine::offer`, called by the store's observer) and, at start or when too many were there, from the database.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;
use velum_model::{
    Timestamp,
    chance::Ids,
    id::*,
    operation::{Operation, OperationState},
    port::{node::Nodes, plugins::Plugins},
    time::Clock,
};
use velum_store::{Commit, OperationWrite, Store, StoreError};

use crate::{Replan, drive};

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

    fn knows(&self, id: OperationId) -> bool {
        self.in_flight.contains(&id) || self.at.contains_key(&id)
    }

    fn forget(&mut self, id: OperationId) {
        self.in_flight.remove(&id);
        self.cancelled.remove(&id);
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
        let permits = Arc::new(Semaphore::new(parts.limits.in_flight));
        let shared = Shared {
            parts,
            queue: Mutex::default(),
            wake: Notify::new(),
            permits,
            layers: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// A commit became durable: takes in the operation that it began, and passes on its wish to cancel another.
    pub fn offer(&self, commit: &Commit) {
        let Some(OperationWrite::Insert {
            operation,
            locks,
            preempts,
        }) = &commit.operation
        else {
            return;
        };
        if self.shared.parts.store.epoch(operation.shard).is_none() {
            return;
        }
        let mut queue = self.shared.queue.lock();
        if *preempts {
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
            queue.put((**operation).clone());
        }
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// Takes in what the database holds: at start, after a takeover, after an operator's verb.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn load(&self) -> Result<usize, StoreError> {
        let limit = self.shared.parts.limits.loaded;
        let found = self
            .shared
            .parts
            .store
            .read()
            .unfinished_operations(limit as u32)
            .await?;
        let mut queue = self.shared.queue.lock();
        queue.overflowed = found.len() >= limit;
        let mut taken = 0;
        for operation in found {
            let is_ours = self.shared.parts.store.epoch(operation.shard).is_some();
            if is_ours && operation.state != OperationState::Parked && !queue.knows(operation.id) {
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
            tokio::select! {
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

impl Shared {
    async fn drive(&self, operation: Operation) {
        let id = operation.id;
        let next = drive::drive(self, operation).await;
        let mut queue = self.queue.lock();
        match next {
            drive::Next::Ended => queue.forget(id),
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
