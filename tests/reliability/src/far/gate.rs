//! The gate of one place, as `velum-node` and the simulated far side have it: highest epoch of each shard, highest
//! (epoch, generation) of each object, and the answers of the effects that were done.

use std::collections::BTreeMap;

use uuid::Uuid;
use velum_model::{
    fault::{Fault, code},
    port::{Effect, Fence},
};

use super::Answer;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    shards: BTreeMap<Uuid, u64>,
    objects: BTreeMap<Uuid, (u64, u64)>,
    done: BTreeMap<(Uuid, Uuid, &'static str), Answer>,
    refused: u64,
}

impl Gate {
    /// Takes note of a newer owner.
    pub fn announce(&mut self, shard: Uuid, epoch: u64) {
        let known = self.shards.entry(shard).or_insert(epoch);
        *known = (*known).max(epoch);
    }

    /// Lets an effect in, or answers it as it was answered before.
    ///
    /// # Errors
    /// `FENCED`: a newer owner or incarnation was here.
    pub fn enter(
        &mut self,
        fence: &Fence,
        effect: &Effect,
        verb: &'static str,
    ) -> Result<Option<Answer>, Fault> {
        let mine = (fence.epoch, fence.generation);
        let is_over = self
            .shards
            .get(&fence.shard)
            .is_some_and(|highest| fence.epoch < *highest)
            || self
                .objects
                .get(&fence.object)
                .is_some_and(|highest| mine < *highest);
        if is_over {
            self.refused += 1;
            return Err(Fault::unchanged(
                code::FENCED,
                format!("{verb}: {mine:?} is over"),
            ));
        }
        self.announce(fence.shard, fence.epoch);
        self.objects.insert(fence.object, mine);
        Ok(self.done.get(&(fence.object, effect.id, verb)).cloned())
    }

    /// Remembers the answer of an effect.
    pub fn done(&mut self, fence: &Fence, effect: &Effect, verb: &'static str, answer: Answer) {
        self.done.insert((fence.object, effect.id, verb), answer);
    }

    /// Effects that came too late.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }
}
