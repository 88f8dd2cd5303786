//! A decision as it is shown.

use std::collections::{BTreeSet, HashMap};

use velum_model::{
    ComputeHostId, StoragePoolId,
    decision::{Decision, PolicyUsed, Ranked},
    tenancy::Caller,
};
use velum_service::Replayed;
use velum_wire::{
    DecisionPoolView, DecisionView, HostRefusalView, PolicyUsedView, RankedView, RefusalView, ReplayView,
};

use crate::{state::ApiState, v1::policies::view::fallback};

/// Names of what a decision speaks of, as far as they are known.
#[derive(Debug, Default)]
pub struct Names {
    /// Of compute hosts.
    pub hosts: HashMap<ComputeHostId, String>,
    /// Of storage pools.
    pub pools: HashMap<StoragePoolId, String>,
}

/// The names of what a decision speaks of. What is gone or not to be seen has none.
pub async fn names(api: &ApiState, caller: &Caller, decision: &Decision) -> Names {
    let ranked = decision
        .winner
        .iter()
        .chain(&decision.runners_up)
        .map(|ranked| ranked.compute_host);
    let refused = decision.refusals.iter().map(|refusal| refusal.compute_host);
    let pools = decision.pools.iter().copied().collect();
    names_of(api, caller, ranked.chain(refused).collect(), pools).await
}

/// The names of compute hosts and pools, as far as they are there and to be seen.
pub async fn names_of(
    api: &ApiState,
    caller: &Caller,
    hosts: BTreeSet<ComputeHostId>,
    pools: BTreeSet<StoragePoolId>,
) -> Names {
    let hosts = api.services.host_names(hosts).await.unwrap_or_default();
    let mut names = Names {
        hosts: hosts.into_iter().collect(),
        ..Names::default()
    };
    for id in pools {
        if let Ok(pool) = api.services.storage_pool_get(caller, id).await {
            names.pools.insert(id, pool.name.to_string());
        }
    }
    names
}

fn ranked(ranked: &Ranked, names: &Names) -> RankedView {
    RankedView {
        compute_host_id: ranked.compute_host.uuid(),
        compute_host_name: names.hosts.get(&ranked.compute_host).cloned(),
        score: ranked.score,
        shared: ranked.tier.shared,
        unmet: ranked.tier.unmet,
    }
}

/// A decision made once more.
pub fn again(replayed: &Replayed, names: &Names) -> ReplayView {
    let outcome = &replayed.outcome;
    let ranked = |of: &Ranked| ranked(of, names);
    let pools = outcome.choice.iter().flat_map(|choice| &choice.pools);
    ReplayView {
        decision: view(&replayed.decision, names),
        same: replayed.is_same,
        policy: policy(&replayed.policy),
        winner: outcome.winner.as_ref().map(ranked),
        runners_up: outcome.runners_up.iter().map(ranked).collect(),
        pools: pools.map(|choice| pool(choice.pool, names)).collect(),
        ties: replayed.ties,
        refused: outcome
            .refused
            .iter()
            .map(|(refusal, hosts)| RefusalView {
                reason: refusal.name(),
                words: refusal.words(),
                hosts: *hosts,
            })
            .collect(),
        fuel: outcome.fuel,
    }
}

/// A decision as it is shown, with names as far as they are known.
pub fn view(decision: &Decision, names: &Names) -> DecisionView {
    let name = |id: ComputeHostId| names.hosts.get(&id).cloned();
    DecisionView {
        runners_up: decision.runners_up.iter().map(|of| ranked(of, names)).collect(),
        refusals: decision
            .refusals
            .iter()
            .map(|refused| HostRefusalView {
                compute_host_id: refused.compute_host.uuid(),
                compute_host_name: name(refused.compute_host),
                reason: refused.refusal.name(),
                words: refused.refusal.words(),
            })
            .collect(),
        ..without_each(decision.clone(), names)
    }
}

/// A decision as a list shows it: without compute hosts one by one, of which a page would have a hundred thousand.
pub fn listed(decision: Decision) -> DecisionView {
    without_each(decision, &Names::default())
}

fn without_each(decision: Decision, names: &Names) -> DecisionView {
    DecisionView {
        id: decision.id.uuid(),
        project_id: decision.project.uuid(),
        zone_id: decision.zone.uuid(),
        instance_id: decision.instance.uuid(),
        ask: decision.ask,
        inventory_epoch: decision.inventory_epoch,
        policy: policy(&decision.policy),
        seed: decision.seed.to_string(),
        winner: decision.winner.as_ref().map(|of| ranked(of, names)),
        runners_up: Vec::new(),
        pools: decision.pools.iter().map(|id| pool(*id, names)).collect(),
        considered: decision.considered,
        refused: decision
            .refused
            .into_iter()
            .map(|count| RefusalView {
                reason: count.reason,
                words: count.words,
                hosts: count.hosts,
            })
            .collect(),
        refusals: Vec::new(),
        fuel: decision.fuel,
        micros: decision.micros,
        at: decision.at.to_string(),
    }
}

fn pool(id: StoragePoolId, names: &Names) -> DecisionPoolView {
    DecisionPoolView {
        storage_pool_id: id.uuid(),
        storage_pool_name: names.pools.get(&id).cloned(),
    }
}

/// Who decided.
pub fn policy(used: &PolicyUsed) -> PolicyUsedView {
    PolicyUsedView {
        id: used.policy.map(|id| id.uuid()),
        name: used.name.clone(),
        digest: used.digest.as_ref().map(ToString::to_string),
        generation: used.generation,
        config: used.config.clone(),
        failed: used.failed.as_ref().map(ToString::to_string),
        fallback: used.fallback.map(fallback),
    }
}
