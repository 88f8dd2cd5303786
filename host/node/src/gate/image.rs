//! What the gate's log adds up to.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use velum_model::{
    fault::{Fault, code},
    port::Fence,
};

/// Effects remembered of one object: an operation has a handful of steps, and only those of the newest can be repeated.
const EFFECTS: usize = 16;

/// Objects remembered when the log is compacted: 100,000 of some 200 bytes are 20 MB of log, far more than the guests
/// and volumes that one machine sees under one epoch. An older one is forgotten only when its epoch is over.
const OBJECTS: usize = 100_000;

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Record {
    /// A shard's epoch.
    Shard { shard: Uuid, epoch: u64 },
    /// An object's incarnation; implies its shard's epoch.
    Object {
        shard: Uuid,
        epoch: u64,
        object: Uuid,
        generation: u64,
    },
    /// An effect that was done.
    Effect {
        object: Uuid,
        effect: Uuid,
        verb: String,
        answer: Value,
    },
}

/// The sum of all records.
#[derive(Default)]
pub(super) struct Image {
    shards: HashMap<Uuid, u64>,
    objects: HashMap<Uuid, Seen>,
    /// Grows with each change, so that the least recently touched objects are known.
    tick: u64,
}

struct Seen {
    shard: Uuid,
    epoch: u64,
    generation: u64,
    touched: u64,
    effects: VecDeque<Done>,
}

struct Done {
    effect: Uuid,
    verb: String,
    answer: Value,
}

fn fenced(what: String) -> Fault {
    Fault::unchanged(code::FENCED, what)
}

impl Image {
    /// Whether a fence may pass: the record that must be durable first, if it is higher than what was seen.
    pub(super) fn judge(&self, fence: &Fence) -> Result<Option<Record>, Fault> {
        self.judge_epoch(fence.shard, fence.epoch)?;
        let asked = (fence.epoch, fence.generation);
        if let Some(seen) = self.objects.get(&fence.object) {
            let highest = (seen.epoch, seen.generation);
            if asked < highest {
                return Err(fenced(format!(
                    "object {} was here at epoch {}, generation {}; this is epoch {}, generation {}",
                    fence.object, highest.0, highest.1, asked.0, asked.1
                )));
            }
            if asked == highest && seen.shard == fence.shard {
                return Ok(None);
            }
        }
        Ok(Some(Record::Object {
            shard: fence.shard,
            epoch: fence.epoch,
            object: fence.object,
            generation: fence.generation,
        }))
    }

    /// The same for an epoch alone.
    pub(super) fn judge_epoch(&self, shard: Uuid, epoch: u64) -> Result<Option<Record>, Fault> {
        match self.shards.get(&shard) {
            Some(highest) if epoch < *highest => Err(fenced(format!(
                "shard {shard} was here at epoch {highest}; this is epoch {epoch}"
            ))),
            Some(highest) if epoch == *highest => Ok(None),
            _ => Ok(Some(Record::Shard { shard, epoch })),
        }
    }

    /// The answer of an effect that was done.
    pub(super) fn done(&self, object: Uuid, effect: Uuid, verb: &str) -> Option<Value> {
        let seen = self.objects.get(&object)?;
        let done = seen
            .effects
            .iter()
            .find(|done| done.effect == effect && done.verb == verb)?;
        Some(done.answer.clone())
    }

    /// Adds a record. Never lowers anything, whatever the order.
    pub(super) fn apply(&mut self, record: Record) {
        self.tick += 1;
        let tick = self.tick;
        match record {
            Record::Shard { shard, epoch } => self.raise_shard(shard, epoch),
            Record::Object {
                shard,
                epoch,
                object,
                generation,
            } => {
                self.raise_shard(shard, epoch);
                let seen = self.objects.entry(object).or_insert_with(|| Seen {
                    shard,
                    epoch,
                    generation,
                    touched: tick,
                    effects: VecDeque::new(),
                });
                seen.touched = tick;
                seen.shard = shard;
                (seen.epoch, seen.generation) = (seen.epoch, seen.generation).max((epoch, generation));
            }
            Record::Effect {
                object,
                effect,
                verb,
                answer,
            } => {
                // An effect follows its object's record; one without is of an object that was forgotten.
                let Some(seen) = self.objects.get_mut(&object) else {
                    return;
                };
                seen.touched = tick;
                seen.effects
                    .retain(|done| done.effect != effect || done.verb != verb);
                if seen.effects.len() == EFFECTS {
                    seen.effects.pop_front();
                }
                seen.effects.push_back(Done { effect, verb, answer });
            }
        }
    }

    fn raise_shard(&mut self, shard: Uuid, epoch: u64) {
        let known = self.shards.entry(shard).or_insert(epoch);
        *known = (*known).max(epoch);
    }

    /// The shortest list of records that adds up to this, after forgetting what may be forgotten.
    pub(super) fn compacted(&mut self) -> Vec<Record> {
        self.forget(OBJECTS);
        let mut records: Vec<Record> = self
            .shards
            .iter()
            .map(|(shard, epoch)| Record::Shard {
                shard: *shard,
                epoch: *epoch,
            })
            .collect();
        let mut objects: Vec<(&Uuid, &Seen)> = self.objects.iter().collect();
        objects.sort_by_key(|(_, seen)| seen.touched);
        for (object, seen) in objects {
            records.push(Record::Object {
                shard: seen.shard,
                epoch: seen.epoch,
                object: *object,
                generation: seen.generation,
            });
            records.extend(seen.effects.iter().map(|done| Record::Effect {
                object: *object,
                effect: done.effect,
                verb: done.verb.clone(),
                answer: done.answer.clone(),
            }));
        }
        records
    }

    /// Forgets the least recently touched objects beyond `keep`, but none of a running epoch: whoever could come for
    /// the others is refused by its epoch alone.
    pub(super) fn forget(&mut self, keep: usize) {
        let Some(surplus) = self.objects.len().checked_sub(keep).filter(|n| *n > 0) else {
            return;
        };
        let mut over: Vec<(u64, Uuid)> = self
            .objects
            .iter()
            .filter(|(_, seen)| self.shards.get(&seen.shard).is_some_and(|now| seen.epoch < *now))
            .map(|(object, seen)| (seen.touched, *object))
            .collect();
        over.sort_unstable();
        for (_, object) in over.into_iter().take(surplus) {
            self.objects.remove(&object);
        }
    }
}
