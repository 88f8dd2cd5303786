//! What a planner sees of its policies beside their answers: whether a new version does, and what its shadow is to be
//! shown.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::mpsc;
use velum_model::{
    Timestamp,
    decision::{PolicyUsed, Refusal},
    id::{PolicyId, ShadowId},
    plugin::{Policy, PolicyShadow},
    port::placement::PolicyFailure,
};
use velum_placement::{Ask, Inventory, Outcome, ShadowAsk};

use crate::{
    desk::{Decided, Desk, Shadowed},
    settings::Probation,
};

/// A new version of a policy that does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub policy: PolicyId,
    /// The generation that was seen to fail: if the policy has another by now, that is another's affair.
    pub generation: u64,
    /// Why, in words.
    pub words: String,
}

/// Misfits that wait to be taken back: each is a policy, of which a cloud has some ten.
pub(crate) const MISFITS: usize = 64;

/// What was seen of a version on probation.
#[derive(Clone, Debug, Default)]
struct Tally {
    since: Timestamp,
    asks: u64,
    trapped: u64,
    late: u64,
    nonsense: u64,
    unavailable: u64,
    refused_all: u64,
    /// Asks at which somebody was told.
    told: u64,
}

/// See the module.
pub(super) struct Watching {
    desk: Arc<Desk>,
    probation: Probation,
    misfits: mpsc::Sender<Misfit>,
    tallies: HashMap<PolicyId, Tally>,
    shadows: HashMap<PolicyId, Arc<PolicyShadow>>,
}

impl Watching {
    pub(super) fn new(desk: Arc<Desk>, probation: Probation, misfits: mpsc::Sender<Misfit>) -> Self {
        Self {
            desk,
            probation,
            misfits,
            tallies: HashMap::new(),
            shadows: HashMap::new(),
        }
    }

    /// A policy has this shadow from now on.
    pub(super) fn begin(&mut self, shadow: PolicyShadow) {
        self.shadows.insert(shadow.policy, Arc::new(shadow));
    }

    /// A policy has none any more; with an id only if it was that one.
    pub(super) fn end(&mut self, policy: PolicyId, id: Option<ShadowId>) {
        let is_it = |shadow: &Arc<PolicyShadow>| id.is_none_or(|id| shadow.id == id);
        if self.shadows.get(&policy).is_some_and(is_it)
            && let Some(gone) = self.shadows.remove(&policy)
        {
            self.desk.forget(gone.id);
        }
    }

    /// The shadows are these: others have ended while nobody listened.
    pub(super) fn replace(&mut self, shadows: Vec<PolicyShadow>) {
        self.shadows.clear();
        for shadow in shadows {
            self.begin(shadow);
        }
    }

    /// A policy is gone.
    pub(super) fn forget(&mut self, policy: PolicyId) {
        self.tallies.remove(&policy);
        self.end(policy, None);
    }

    /// Whether a policy has a shadow.
    pub(super) fn has_shadow(&self, policy: Option<PolicyId>) -> bool {
        policy.is_some_and(|policy| self.shadows.contains_key(&policy))
    }

    /// Shows an ask to the shadow of the policy that decided it, if it has one.
    pub(super) fn show(
        &mut self,
        inventory: &Inventory,
        (ask, seed): (&Ask, u64),
        outcome: &Outcome,
        micros: u64,
    ) {
        let Some(shadow) = outcome.policy.policy.and_then(|id| self.shadows.get(&id)) else {
            return;
        };
        let decided = Decided {
            fuel: outcome.fuel,
            micros,
            has_failed: outcome.policy.failed.is_some(),
        };
        if !self.desk.decided(shadow.id, decided) {
            return;
        }
        let wants = self.desk.wants(shadow.id);
        self.desk.offer(Shadowed {
            shadow: Arc::clone(shadow),
            ask: wants.map(|wants| ShadowAsk::take(inventory, ask, seed, outcome, &wants)),
        });
    }

    /// Counts what came of an ask of a policy; tells when its new version failed too often.
    pub(super) fn saw(&mut self, policy: Option<&Policy>, seen: Seen<'_>, now: Timestamp) {
        let Some(policy) = policy else { return };
        let ends = policy.since.plus_millis(self.probation.for_ms);
        if !policy.cause.is_on_probation() || now >= ends || seen.used.generation != policy.generation {
            self.tallies.remove(&policy.id);
            return;
        }
        let tally = self.tallies.entry(policy.id).or_default();
        if tally.since != policy.since {
            *tally = Tally {
                since: policy.since,
                ..Tally::default()
            };
        }
        tally.count(seen);
        if let Some(words) = tally.verdict(&self.probation)
            && tally.asks >= tally.told + self.probation.asks.max(1)
        {
            let misfit = Misfit {
                policy: policy.id,
                generation: policy.generation,
                words,
            };
            // Told again after as many asks more, if nobody could do anything about it.
            tally.told = tally.asks;
            if self.misfits.try_send(misfit).is_err() {
                tracing::warn!(policy = %policy.name, "nobody takes back a policy that does not do");
            }
        }
    }
}

/// What a policy did with an ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub used: &'a PolicyUsed,
    /// It refused every candidate that there was.
    pub refused_all: bool,
}

impl<'a> Seen<'a> {
    /// By who ranked the compute hosts.
    pub(super) fn of_hosts(outcome: &'a Outcome) -> Self {
        let by_policy = |(refusal, _): &&(Refusal, _)| matches!(refusal, Refusal::Policy { .. });
        let refused: u32 = outcome
            .refused
            .iter()
            .filter(by_policy)
            .map(|(_, count)| count)
            .sum();
        Self {
            used: &outcome.policy,
            refused_all: outcome.choice.is_none() && outcome.candidates > 0 && refused >= outcome.candidates,
        }
    }

    /// By who ranked the pools.
    pub(super) const fn of_pools(used: &'a PolicyUsed) -> Self {
        Self {
            used,
            refused_all: false,
        }
    }
}

impl Tally {
    fn count(&mut self, seen: Seen<'_>) {
        self.asks += 1;
        self.refused_all += u64::from(seen.refused_all);
        match &seen.used.failed {
            None => {}
            Some(PolicyFailure::Trapped(_)) => self.trapped += 1,
            Some(PolicyFailure::OutOfFuel) => self.late += 1,
            Some(PolicyFailure::Nonsense(_)) => self.nonsense += 1,
            Some(PolicyFailure::Configuration(_) | PolicyFailure::Unavailable(_)) => self.unavailable += 1,
        }
    }

    /// Why it is too much, in words.
    fn verdict(&self, bounds: &Probation) -> Option<String> {
        if self.asks < bounds.asks {
            return None;
        }
        let failed = self.trapped + self.late + self.nonsense + self.unavailable;
        let asks = self.asks;
        if failed * 1000 > bounds.failures_permille * asks {
            let kinds = [
                (self.trapped, "trapped"),
                (self.late, "out of fuel"),
                (self.nonsense, "unusable answers"),
                (self.unavailable, "not available"),
            ];
            let kinds: Vec<String> = kinds
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, kind)| format!("{count} {kind}"))
                .collect();
            return Some(format!(
                "failed at {failed} of its first {asks} asks in one zone ({}); {} of 1000 are borne",
                kinds.join(", "),
                bounds.failures_permille
            ));
        }
        let refused = self.refused_all;
        (refused * 1000 > bounds.refusals_permille * asks).then(|| {
            format!(
                "refused every compute host with room at {refused} of its first {asks} asks in one zone; {} of 1000 are \
                 borne",
                bounds.refusals_permille
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Probation = Probation {
        for_ms: 1000,
        asks: 20,
        failures_permille: 100,
        refusals_permille: 500,
    };

    fn tally(asks: u64, trapped: u64, refused_all: u64) -> Tally {
        Tally {
            asks,
            trapped,
            refused_all,
            ..Tally::default()
        }
    }

    #[test]
    fn nothing_is_concluded_from_few_asks_and_bounds_are_exact() {
        for (of, is_too_much) in [
            (tally(19, 19, 19), false),
            (tally(20, 2, 10), false),
            (tally(20, 3, 0), true),
            (tally(20, 0, 11), true),
            (tally(1000, 100, 500), false),
            (tally(1000, 101, 0), true),
        ] {
            assert_eq!(of.verdict(&BOUNDS).is_some(), is_too_much, "{of:?}");
        }
        let words = tally(20, 3, 0).verdict(&BOUNDS).expect("too much");
        assert!(
            words.contains("3 of its first 20 asks") && words.contains("3 trapped"),
            "{words}"
        );
    }
}
