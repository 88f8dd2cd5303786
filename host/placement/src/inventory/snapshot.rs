//! An inventory as it is kept.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use velum_model::{id::*, quantity::Overcommit, resource::Resources};

use super::Inventory;
use crate::{
    hosts::{Hosts, HostsKept},
    pools::{Pools, PoolsKept},
    update::{LayerClaim, RunClaim, RunExtras, VolumeClaim},
};

/// Everything of an inventory that cannot be recounted: what a later replay begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its epoch.
    pub epoch: u64,
    clusters: Vec<(ClusterId, Overcommit, Overcommit)>,
    hosts: HostsKept,
    pools: PoolsKept,
    runs: Vec<RunClaim>,
    members: Vec<(RunId, Vec<AffinityGroupId>)>,
    held: Vec<(RunId, Resources)>,
    volumes: Vec<VolumeClaim>,
    layers: Vec<LayerClaim>,
}

impl Inventory {
    /// What a replay begins with. Lists are in the order of their ids, so that equal inventories have equal
    /// snapshots.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut clusters: Vec<_> = self
            .clusters
            .iter()
            .map(|(&id, &(cpu, memory))| (id, cpu, memory))
            .collect();
        clusters.sort_unstable_by_key(|&(id, ..)| id);
        let mut runs: Vec<_> = self.runs.values().copied().collect();
        runs.sort_unstable_by_key(|claim| claim.run);
        let mut held: Vec<_> = self.held.iter().map(|(&run, held)| (run, held.clone())).collect();
        held.sort_unstable_by_key(|&(run, _)| run);
        let mut volumes: Vec<_> = self.volumes.values().copied().collect();
        volumes.sort_unstable_by_key(|claim| claim.volume);
        let mut layers: Vec<_> = self.pools.layers.values().copied().collect();
        layers.sort_unstable_by_key(|claim| claim.layer);
        Snapshot {
            epoch: self.epoch,
            clusters,
            hosts: self.hosts.keep(),
            pools: self.pools.keep(),
            runs,
            members: self.members.keep(),
            held,
            volumes,
            layers,
        }
    }

    /// The inventory that a snapshot was taken of.
    #[must_use]
    pub fn from_snapshot(snapshot: Snapshot) -> Self {
        let mut inventory = Self::default();
        for (id, cpu, memory) in snapshot.clusters {
            inventory.clusters.insert(id, (cpu, memory));
        }
        inventory.hosts = Hosts::rebuild(snapshot.hosts, |cluster| inventory.overcommit(cluster));
        inventory.pools = Pools::rebuild(snapshot.pools);
        let mut members: HashMap<RunId, Vec<AffinityGroupId>> = snapshot.members.into_iter().collect();
        let mut held: HashMap<RunId, Resources> = snapshot.held.into_iter().collect();
        for run in snapshot.runs {
            let extras = RunExtras {
                groups: members.remove(&run.run).unwrap_or_default(),
                resources: held.remove(&run.run).unwrap_or_default(),
            };
            inventory.claim_run(run, extras);
        }
        for volume in snapshot.volumes {
            inventory.claim_volume(volume);
        }
        for layer in snapshot.layers {
            inventory.claim_layer(layer);
        }
        inventory.epoch = snapshot.epoch;
        inventory.under_epoch(snapshot.epoch)
    }
}
