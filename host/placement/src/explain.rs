//! From an outcome to a decision: data that a person can read and a machine can replay.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use velum_model::{
    Timestamp,
    decision::{Decision, HostRefusal, PolicyUsed, REFUSALS_LISTED, Refusal, RefusalCount},
    id::{DecisionId, StoragePoolId, ZoneId},
};

use crate::{
    ask::Ask,
    choose::{Outcome, PoolOutcome},
    filter::FILTER_VERSION,
};

/// When, where and from what a decision was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// The decision's id.
    pub id: DecisionId,
    /// The zone.
    pub zone: ZoneId,
    /// The inventory's epoch.
    pub epoch: u64,
    /// The seed.
    pub seed: u64,
    /// Microseconds from ask to choice.
    pub micros: u64,
    /// When.
    pub at: Timestamp,
}

/// How much of the refusals a decision lists one by one. They are always counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// For storing: all of a small zone, none of a large one (they are recomputed).
    Stored,
    /// For showing at once: as many as a decision may list.
    Shown,
}

/// What a decision keeps of its ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AskRecord {
    /// The ask itself.
    #[serde(flatten)]
    pub ask: Ask,
    /// Who ranked the pools.
    pub pool_policy: PolicyUsed,
    /// How many candidates the policy saw, when it was a sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<u32>,
    /// Version of the hard filters.
    pub filter: u32,
}

/// Makes the decision.
#[must_use]
pub fn explain(ask: &Ask, outcome: &Outcome, of: &Circumstances, detail: Detail) -> Decision {
    let record = AskRecord {
        ask: ask.clone(),
        pool_policy: outcome.pool_policy.clone(),
        sampled: outcome.sampled,
        filter: FILTER_VERSION,
    };
    let listed = match detail {
        Detail::Stored if outcome.considered as usize > REFUSALS_LISTED => 0,
        Detail::Stored | Detail::Shown => REFUSALS_LISTED,
    };
    let refusals = outcome.refusals.iter().take(listed);
    Decision {
        id: of.id,
        project: ask.project,
        zone: of.zone,
        instance: ask.instance,
        // Ids, names and numbers always have a JSON form.
        ask: serde_json::to_value(record).unwrap_or(Value::Null),
        inventory_epoch: of.epoch,
        policy: outcome.policy.clone(),
        seed: of.seed,
        winner: outcome.winner,
        pools: outcome
            .choice
            .iter()
            .flat_map(|choice| &choice.pools)
            .map(|pool| pool.pool)
            .collect(),
        runners_up: outcome.runners_up.clone(),
        considered: outcome.considered,
        refused: counted(outcome.refused.iter().map(|(refusal, count)| (refusal, *count))),
        refusals: refusals
            .map(|(compute_host, refusal)| HostRefusal {
                compute_host: *compute_host,
                refusal: refusal.clone(),
            })
            .collect(),
        fuel: outcome.fuel,
        micros: of.micros,
        at: of.at,
    }
}

/// Refused pools by reason, most frequent first (`hosts` counts pools).
#[must_use]
pub fn pool_refusals(outcome: &PoolOutcome) -> Vec<RefusalCount> {
    counted(
        outcome
            .refused
            .iter()
            .map(|(_, refusal): &(StoragePoolId, _)| (refusal, 1)),
    )
}

/// Refusals by reason, most frequent first, equal ones by name.
fn counted<'a>(refusals: impl Iterator<Item = (&'a Refusal, u32)>) -> Vec<RefusalCount> {
    let mut by_refusal: BTreeMap<&Refusal, u32> = BTreeMap::new();
    for (refusal, count) in refusals {
        *by_refusal.entry(refusal).or_default() += count;
    }
    let mut counts: Vec<RefusalCount> = by_refusal
        .into_iter()
        .map(|(refusal, hosts)| RefusalCount {
            reason: refusal.name(),
            words: refusal.words(),
            hosts,
        })
        .collect();
    counts.sort_by(|one, other| {
        other
            .hosts
            .cmp(&one.hosts)
            .then_with(|| one.reason.cmp(&other.reason))
    });
    counts
}
