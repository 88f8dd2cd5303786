//! The gate: every effect on this machine passes here (law 6).
//!
//! It knows, on disk, the highest epoch of each shard and the highest (epoch, generation) of each object, and refuses
//! lower ones inside the effect's own critical section: an object's lock is held from the check to the end of the
//! effect. A server that was paused and wakes up can do nothing. It also knows the last effects of each object, so that
//! a repeated one is answered as before and not done again.

mod image;
mod log;

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    sync::{Notify, OwnedMutexGuard},
    time::Instant,
};
use uuid::Uuid;
use velum_connector::message::ShardEpoch;
use velum_model::{
    fault::{Fault, code},
    port::{Effect, Fence},
};

pub use self::log::LogError;
use self::{
    image::{Image, Record},
    log::Log,
};

/// Locks of objects that nothing holds are dropped beyond this many: one is 100 bytes, a machine runs hundreds of guests.
const IDLE_LOCKS: usize = 4096;

/// The gate of this machine. Clones share it.
#[derive(Clone)]
pub struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    image: Arc<Mutex<Image>>,
    log: Log,
    locks: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>,
    flights: Mutex<HashMap<(Uuid, u64), usize>>,
    landed: Notify,
}

/// What the gate says to an effect that may pass.
pub enum Entry {
    /// It was done before; this was the answer.
    Known(Value),
    /// It may act while this is held.
    Fresh(Permit),
}

/// The critical section of one effect.
pub struct Permit {
    gate: Gate,
    object: Uuid,
    effect: Uuid,
    verb: String,
    flight: Option<Flight>,
    _lock: OwnedMutexGuard<()>,
}

/// Counts an effect among those under way, until dropped.
struct Flight {
    gate: Gate,
    under: (Uuid, u64),
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut flights = self.gate.inner.flights.lock();
        if let Some(count) = flights.get_mut(&self.under) {
            *count -= 1;
            if *count == 0 {
                flights.remove(&self.under);
            }
        }
        drop(flights);
        self.gate.inner.landed.notify_waiters();
    }
}

fn unwritable(error: &LogError) -> Fault {
    Fault::unchanged(
        code::FAILED,
        format!("the node's gate cannot write its log, so nothing may act: {error}"),
    )
}

impl Gate {
    /// Opens the gate's log in a directory, or makes it.
    ///
    /// # Errors
    /// [`LogError`] when it cannot be read or written, or is damaged elsewhere than at its end.
    pub fn open(directory: &Path) -> Result<Self, LogError> {
        let (image, log) = Log::open(directory)?;
        Ok(Self {
            inner: Arc::new(Inner {
                image,
                log,
                locks: Mutex::default(),
                flights: Mutex::default(),
                landed: Notify::new(),
            }),
        })
    }

    /// Waits for the object's lock, at most until `until`, checks the fence inside it, and makes what it raises durable.
    /// `verb` tells effects of one id apart (a driver's call may act several times under one id).
    ///
    /// # Errors
    /// `FENCED`; `DEADLINE` when an earlier effect on the object still runs; `FAILED` when the log cannot be written.
    /// All changed nothing.
    pub async fn enter(
        &self,
        fence: &Fence,
        effect: &Effect,
        verb: &str,
        until: Instant,
    ) -> Result<Entry, Fault> {
        let lock = self.lock_of(fence.object);
        let held = tokio::time::timeout_at(until, lock.lock_owned())
            .await
            .map_err(|_| Fault::unchanged(code::DEADLINE, "an earlier effect on this object still runs"))?;
        let flight = loop {
            // Count first, then check: an announcement that raises the epoch in between sees the flight and waits.
            let flight = self.take_off(fence);
            let judged = self.inner.image.lock().judge(fence)?;
            match judged {
                None => break flight,
                Some(raise) => {
                    drop(flight);
                    // While this becomes durable a higher epoch can come: judge again.
                    self.inner.log.append(raise).await.map_err(|e| unwritable(&e))?;
                }
            }
        };
        if let Some(answer) = self.inner.image.lock().done(fence.object, effect.id, verb) {
            return Ok(Entry::Known(answer));
        }
        Ok(Entry::Fresh(Permit {
            gate: self.clone(),
            object: fence.object,
            effect: effect.id,
            verb: verb.to_owned(),
            flight: Some(flight),
            _lock: held,
        }))
    }

    /// Takes note of epochs. Returns when no effect of an older epoch of these shards is under way (long work aside,
    /// which holds its object's lock) and none can begin any more.
    ///
    /// # Errors
    /// `FENCED` when a higher epoch was there; `DEADLINE` when older effects do not end; `FAILED` when the log cannot
    /// be written.
    pub async fn announce(&self, epochs: &[ShardEpoch], within: Duration) -> Result<(), Fault> {
        for ShardEpoch { shard, epoch } in epochs {
            let raise = self.inner.image.lock().judge_epoch(*shard, *epoch)?;
            if let Some(record) = raise {
                self.inner.log.append(record).await.map_err(|e| unwritable(&e))?;
            }
        }
        let older_ended = async {
            loop {
                let landed = self.inner.landed.notified();
                tokio::pin!(landed);
                landed.as_mut().enable();
                if !self.older_under_way(epochs) {
                    return;
                }
                landed.await;
            }
        };
        tokio::time::timeout(within, older_ended).await.map_err(|_| {
            Fault::new(
                code::DEADLINE,
                "effects of an older epoch are still under way on this node",
            )
        })
    }

    /// Waits until no effect is under way, at most this long; whether it came to that.
    pub async fn quiet(&self, within: Duration) -> bool {
        let quiet = async {
            loop {
                let landed = self.inner.landed.notified();
                tokio::pin!(landed);
                landed.as_mut().enable();
                if self.inner.flights.lock().is_empty() {
                    return;
                }
                landed.await;
            }
        };
        tokio::time::timeout(within, quiet).await.is_ok()
    }

    fn older_under_way(&self, epochs: &[ShardEpoch]) -> bool {
        let flights = self.inner.flights.lock();
        epochs.iter().any(|now| {
            flights
                .keys()
                .any(|(shard, epoch)| *shard == now.shard && *epoch < now.epoch)
        })
    }

    fn take_off(&self, fence: &Fence) -> Flight {
        let under = (fence.shard, fence.epoch);
        *self.inner.flights.lock().entry(under).or_insert(0) += 1;
        Flight {
            gate: self.clone(),
            under,
        }
    }

    fn lock_of(&self, object: Uuid) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.inner.locks.lock();
        if locks.len() > IDLE_LOCKS {
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        Arc::clone(locks.entry(object).or_default())
    }
}

impl Permit {
    /// The effect is long work (minutes of copying): announcements of a newer epoch do not wait for it. It keeps the
    /// object's lock, so no newer effect on the object runs beside it.
    pub fn is_long(&mut self) {
        self.flight = None;
    }

    /// Ends the critical section of an effect that was done, and remembers its answer.
    ///
    /// # Errors
    /// `FAILED` when that cannot be written: the effect is done all the same.
    pub async fn done(self, answer: &Value) -> Result<(), Fault> {
        let record = Record::Effect {
            object: self.object,
            effect: self.effect,
            verb: self.verb.clone(),
            answer: answer.clone(),
        };
        self.gate.inner.log.append(record).await.map_err(|e| Fault {
            unchanged: false,
            ..unwritable(&e)
        })
    }
}

#[cfg(test)]
mod tests;
