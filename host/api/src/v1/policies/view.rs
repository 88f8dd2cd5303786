//! A policy as it is shown.

use velum_model::{
    plugin::{Fallback, Policy, PolicyCause, PolicyShadow, PolicyVersion},
    shadow::ShadowCounts,
};
use velum_service::StoredAnswer;
use velum_wire::{PolicyVersionView, PolicyView, ShadowFailuresView, ShadowView};

use crate::answer;

/// A policy as it is shown.
pub fn view(policy: &Policy) -> PolicyView {
    PolicyView {
        id: policy.id.uuid(),
        name: policy.name.to_string(),
        digest: policy.digest.to_string(),
        config: policy.config.clone(),
        fallback: fallback(policy.fallback),
        generation: policy.generation,
        since: policy.since.to_string(),
        cause: cause(policy.cause),
        created_at: policy.created_at.to_string(),
    }
}

/// The answer to what changed one.
pub fn changed(policy: &Policy) -> StoredAnswer {
    answer::done_at(policy.generation, &view(policy))
}

/// What is done when it fails.
pub const fn fallback(fallback: Fallback) -> velum_wire::Fallback {
    match fallback {
        Fallback::BuiltIn => velum_wire::Fallback::BuiltIn,
        Fallback::Refuse => velum_wire::Fallback::Refuse,
    }
}

const fn cause(cause: PolicyCause) -> velum_wire::PolicyCause {
    match cause {
        PolicyCause::Created => velum_wire::PolicyCause::Created,
        PolicyCause::Changed => velum_wire::PolicyCause::Changed,
        PolicyCause::Promoted => velum_wire::PolicyCause::Promoted,
        PolicyCause::RolledBack => velum_wire::PolicyCause::RolledBack,
        PolicyCause::RolledBackByServer => velum_wire::PolicyCause::RolledBackByServer,
    }
}

/// A generation as it is remembered.
pub fn version(version: &PolicyVersion) -> PolicyVersionView {
    PolicyVersionView {
        generation: version.generation,
        digest: version.digest.to_string(),
        config: version.config.clone(),
        fallback: fallback(version.fallback),
        cause: cause(version.cause),
        reason: version.reason.clone(),
        caller: version.caller.clone(),
        created_at: version.created_at.to_string(),
    }
}

/// A shadow with what was seen of it.
pub fn shadow(shadow: &PolicyShadow, counts: &ShadowCounts) -> ShadowView {
    let each = |sum: u64| sum.checked_div(counts.compared);
    ShadowView {
        id: shadow.id.uuid(),
        policy_id: shadow.policy.uuid(),
        digest: shadow.digest.to_string(),
        config: shadow.config.clone(),
        caller: shadow.caller.clone(),
        started_at: shadow.started_at.to_string(),
        asks: counts.asks,
        dropped: counts.dropped,
        compared: counts.compared,
        same_winner: counts.same_winner,
        same_winner_permille: each(counts.same_winner.saturating_mul(1000)),
        rank_agreement_permille: counts.rank_permille.checked_div(counts.ranked),
        refusals_added: counts.refusals_added,
        refused_all: counts.refused_all,
        fuel: each(counts.fuel),
        active_fuel: counts.active_fuel.checked_div(counts.asks),
        micros: each(counts.micros),
        active_micros: counts.active_micros.checked_div(counts.asks),
        failures: ShadowFailuresView {
            trapped: counts.trapped,
            out_of_fuel: counts.out_of_fuel,
            nonsense: counts.nonsense,
            unavailable: counts.unavailable,
        },
        active_failed: counts.active_failed,
    }
}
