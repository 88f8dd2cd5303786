//! A decision as it is shown.

use std::collections::{BTreeSet, HashMap};

use velum_model::{
    ComputeHostId, StoragePoolId,
    decision::{Decision, PolicyUsed, Ranked},
    tenancy::Caller,
};
use velum_wire::{DecisionPoolView, DecisionView, HostRefusalView, PolicyUsedView, RankedView, RefusalView};

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
    let ids: BTreeSet<ComputeHostId> = ranked.chain(refused).collect();
    let hosts = api.services.host_names(ids).await.unwrap_or_default();
    let mut pools = HashMap::new();
    for id in &decision.pools {
        if let Ok(pool) = api.services.storage_pool_get(caller, *id).await {
            pools.insert(*id, pool.name.to_string());
        }
    }
    Names {
        hosts: hosts.into_iter().collect(),
        pools,
    }
}

/// A decision as it is shown, with names as far as they are known.
pub fn view(decision: &Decision, names: &Names) -> DecisionView {
    let name = |id: ComputeHostId| names.hosts.get(&id).cloned();
    let ranked = |ranked: &Ranked| RankedView {
        compute_host_id: ranked.compute_host.uuid(),
        compute_host_name: name(ranked.compute_host),
        score: ranked.score,
        shared: ranked.tier.shared,
        unmet: ranked.tier.unmet,
    };
    DecisionView {
        id: decision.id.uuid(),
        project_id: decision.project.uuid(),
        zone_id: decision.zone.uuid(),
        instance_id: decision.instance.uuid(),
        ask: decision.ask.clone(),
        inventory_epoch: decision.inventory_epoch,
        policy: policy(&decision.policy),
        seed: decision.seed.to_string(),
        winner: decision.winner.as_ref().map(ranked),
        runners_up: decision.runners_up.iter().map(ranked).collect(),
        pools: decision.pools.iter().map(|id| pool(*id, names)).collect(),
        considered: decision.considered,
        refused: decision
            .refused
            .iter()
            .map(|count| RefusalView {
                reason: count.reason.clone(),
                words: count.words.clone(),
                hosts: count.hosts,
            })
            .collect(),
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

fn policy(used: &PolicyUsed) -> PolicyUsedView {
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
