//! What a zone has, as columns in memory: kept current by the commits themselves, claimed from by plans.

use std::collections::HashMap;

use velum_model::{
    id::*,
    infrastructure::{HostState, PoolScope},
    port::placement::{Column, registry},
    quantity::Overcommit,
    resource::Resources,
};

use crate::{
    changed::{Changed, ROWS_A_CHANGE},
    hosts::{Hosts, Way, set},
    members::Members,
    pools::Pools,
    row::Row,
    update::{HostRow, LayerClaim, Part, PoolRow, RunClaim, RunExtras, Update, VolumeClaim},
};

mod snapshot;

pub use snapshot::Snapshot;

/// The inventory of one zone.
///
/// Rows of compute hosts and rows of pools are numbered densely and apart. The epoch grows by one with each update
/// that changes something; a claim made for a plan is an update like any other, taken back by its inverse.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    epoch: u64,
    pub(crate) hosts: Hosts,
    pub(crate) pools: Pools,
    clusters: HashMap<ClusterId, (Overcommit, Overcommit)>,
    runs: HashMap<RunId, RunClaim>,
    pub(crate) members: Members,
    /// Countable resources that runs hold; those that hold none are left out.
    held: HashMap<RunId, Resources>,
    volumes: HashMap<VolumeId, VolumeClaim>,
    layers: HashMap<LayerId, (StoragePoolId, TemplateId)>,
    changed: Changed,
}

impl Inventory {
    /// An empty one in the place of `before`: its epochs go on, so that nobody who followed that one takes this one's for what it
    /// knows already. They are at least `at_least`: a clock's microseconds there, of which there are more than updates, keep the
    /// epochs of a zone apart whoever counted them.
    #[must_use]
    pub fn in_place_of(before: &Self, at_least: u64) -> Self {
        let epoch = at_least.max(before.epoch + 1);
        Self {
            epoch,
            changed: Changed::since(epoch, 0),
            ..Self::default()
        }
    }

    /// The same inventory under an epoch that is at least `at_least`: nobody who followed another knows anything of it.
    pub(crate) fn under_epoch(mut self, at_least: u64) -> Self {
        self.epoch = self.epoch.max(at_least);
        self.changed = Changed::since(self.epoch, self.changed.rows_at_most);
        self
    }

    /// The epoch: how many updates changed something.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Rows of a kind, vacant ones included.
    #[must_use]
    pub fn rows(&self, kind: u16) -> u32 {
        if kind == registry::ROW_STORAGE_POOL {
            self.pools.len()
        } else {
            self.hosts.len()
        }
    }

    /// The row of a compute host.
    #[must_use]
    pub fn host_row(&self, id: ComputeHostId) -> Option<Row> {
        self.hosts.row(id)
    }

    /// The compute host in a row.
    #[must_use]
    pub fn host(&self, row: Row) -> Option<&HostRow> {
        self.hosts.record(row)
    }

    /// The row of a pool.
    #[must_use]
    pub fn pool_row(&self, id: StoragePoolId) -> Option<Row> {
        self.pools.row(id)
    }

    /// The pool in a row.
    #[must_use]
    pub fn pool(&self, row: Row) -> Option<&PoolRow> {
        self.pools.record(row)
    }

    /// Compute hosts that are known.
    #[must_use]
    pub fn host_count(&self) -> u32 {
        self.hosts.records.iter().flatten().count() as u32
    }

    /// vCPUs and MiB promised on a compute host.
    #[must_use]
    pub fn used_of(&self, id: ComputeHostId) -> Option<(u64, u64)> {
        let row = self.hosts.row(id)? as usize;
        Some((
            *self.hosts.vcpus_used.get(row)?,
            *self.hosts.memory_used.get(row)?,
        ))
    }

    /// How much of a countable resource is promised on a compute host, and may be in all.
    #[must_use]
    pub fn resource_of(&self, id: ComputeHostId, name: &str) -> Option<(u64, u64)> {
        let (row, resources) = (self.hosts.row(id)?, &self.hosts.resources);
        Some((resources.used(name, row), resources.limit(name, row)))
    }

    /// Countable resources that a run holds.
    #[must_use]
    pub fn held_by(&self, run: RunId) -> Option<&Resources> {
        self.held.get(&run)
    }

    /// vCPUs and MiB that may still be promised on a compute host.
    #[must_use]
    pub fn free_of(&self, id: ComputeHostId) -> Option<(u64, u64)> {
        let row = self.hosts.row(id)?;
        Some((self.hosts.free_vcpus(row), self.hosts.free_memory(row)))
    }

    /// Bytes that may still be promised of a pool.
    #[must_use]
    pub fn free_bytes(&self, id: StoragePoolId) -> Option<u64> {
        Some(self.pools.free(self.pools.row(id)?))
    }

    /// What a pool holds of a template.
    #[must_use]
    pub fn layer_of(&self, pool: StoragePoolId, template: TemplateId) -> Option<&LayerClaim> {
        self.pools.layers.get(&(pool, template))
    }

    /// Where a run is.
    #[must_use]
    pub fn run(&self, id: RunId) -> Option<&RunClaim> {
        self.runs.get(&id)
    }

    /// Where a volume is.
    #[must_use]
    pub fn volume(&self, id: VolumeId) -> Option<&VolumeClaim> {
        self.volumes.get(&id)
    }

    /// Whether a compute host reaches a pool: scope, and an attachment kind that both know.
    #[must_use]
    pub fn reaches(&self, host: ComputeHostId, pool: StoragePoolId) -> bool {
        let record = self.hosts.row(host).and_then(|row| self.hosts.record(row));
        match (
            record,
            self.pools.row(pool).and_then(|row| self.pools.record(row)),
        ) {
            (Some(host), Some(pool)) => reaches(host, pool),
            _ => false,
        }
    }

    /// Rows of a kind that changed after `since`, for whoever has a column for each row there was; none = load everything.
    #[must_use]
    pub fn changed_since(&self, kind: u16, since: u64) -> Option<Vec<Row>> {
        let grown = *self.changed.grown.get(kind as usize)?;
        (since >= grown)
            .then(|| self.touched_since(kind, since))
            .flatten()
    }

    /// Rows of a kind that changed or came after `since`; none = that is not remembered.
    pub(crate) fn touched_since(&self, kind: u16, since: u64) -> Option<Vec<Row>> {
        if since < self.changed.forgotten || since > self.epoch {
            return None;
        }
        let begin = self.changed.rows.partition_point(|&(epoch, ..)| epoch <= since);
        let mut rows: Vec<Row> = self
            .changed
            .rows
            .range(begin..)
            .filter(|&&(_, of, _)| of == kind)
            .map(|&(.., row)| row)
            .collect();
        rows.sort_unstable();
        rows.dedup();
        Some(rows)
    }

    /// When a pool last came, went or became another: since then only what is promised of pools has changed.
    pub(crate) const fn pools_remade(&self) -> u64 {
        self.changed.pools_remade
    }

    /// Values of columns over rows, column-major.
    #[must_use]
    pub fn values(&self, kind: u16, columns: &[Column], rows: &[Row]) -> Vec<u32> {
        let mut values = Vec::with_capacity(columns.len() * rows.len());
        for column in columns {
            if kind == registry::ROW_STORAGE_POOL {
                values.extend(rows.iter().map(|&row| self.pools.value(column, row)));
            } else {
                values.extend(rows.iter().map(|&row| self.hosts.value(column, row)));
            }
        }
        values
    }

    /// Makes an update so. False when it changed nothing: it is known, or what it is about is not.
    pub fn apply(&mut self, update: Update) -> bool {
        match update {
            Update::Cluster { id, cpu, memory } => self.put_cluster(id, (cpu, memory)),
            Update::Host(host) => self.put_host(*host),
            Update::HostGone(id) => {
                let row = self.hosts.row(id);
                for (&run, _) in self.runs.iter().filter(|(_, claim)| claim.host == id) {
                    self.members.remove(run, row);
                    self.held.remove(&run);
                }
                self.runs.retain(|_, claim| claim.host != id);
                let row = self.hosts.remove(id);
                self.note(registry::ROW_COMPUTE_HOST, row)
            }
            Update::HostSeen { id, state } => self.see_host(id, state),
            Update::Pool(pool) => self.put_pool(*pool),
            Update::PoolGone(id) => {
                let row = self.pools.remove(id);
                self.volumes.retain(|_, claim| claim.pool != id);
                self.layers.retain(|_, (pool, _)| *pool != id);
                let is_gone = self.note(registry::ROW_STORAGE_POOL, row);
                self.changed.pools_remade = self.epoch;
                is_gone
            }
            Update::Dedicated { part, to } => self.dedicate(part, to),
            Update::Run(claim) => self.claim_run(claim, RunExtras::default()),
            Update::RunWith { claim, extras } => self.claim_run(claim, *extras),
            Update::RunGone(id) => match self.runs.remove(&id) {
                Some(claim) => {
                    let row = self.hosts.count(&claim, Way::Out);
                    self.members.remove(id, row);
                    if let (Some(held), Some(row)) = (self.held.remove(&id), row) {
                        self.hosts.resources.count(row, &held, Way::Out);
                    }
                    self.note(registry::ROW_COMPUTE_HOST, row)
                }
                None => false,
            },
            Update::Volume(claim) => self.claim_volume(claim),
            Update::VolumeGone(id) => match self.volumes.remove(&id) {
                Some(claim) => self.count_bytes(claim.pool, claim.bytes, Way::Out),
                None => false,
            },
            Update::Layer(claim) => self.claim_layer(claim),
            Update::LayerReady(id) => self.ready_layer(id),
            Update::LayerGone(id) => match self
                .layers
                .remove(&id)
                .and_then(|of| self.pools.layers.remove(&of))
            {
                Some(claim) => self.count_bytes(claim.pool, claim.bytes, Way::Out),
                None => false,
            },
        }
    }

    /// Notes a changed row under the next epoch. False without one.
    fn note(&mut self, kind: u16, row: Option<Row>) -> bool {
        let Some(row) = row else { return false };
        self.epoch += 1;
        self.changed.note(self.epoch, kind, row);
        true
    }

    fn overcommit(&self, cluster: ClusterId) -> (Overcommit, Overcommit) {
        let none = (Overcommit::NONE, Overcommit::NONE);
        self.clusters.get(&cluster).copied().unwrap_or(none)
    }

    fn put_cluster(&mut self, id: ClusterId, ratios: (Overcommit, Overcommit)) -> bool {
        if self.clusters.insert(id, ratios) == Some(ratios) {
            return false;
        }
        self.epoch += 1;
        for row in 0..self.hosts.len() {
            let Some(host) = self.hosts.record(row).filter(|host| host.cluster == id) else {
                continue;
            };
            let (vcpus, memory) = (u64::from(host.vcpus), host.memory_mib);
            set(&mut self.hosts.vcpus_limit, row, ratios.0.ceiling(vcpus));
            set(&mut self.hosts.memory_limit, row, ratios.1.ceiling(memory));
            self.changed.note(self.epoch, registry::ROW_COMPUTE_HOST, row);
        }
        true
    }

    fn put_host(&mut self, host: HostRow) -> bool {
        let known = self.hosts.row(host.id).and_then(|row| self.hosts.record(row));
        if known == Some(&host) {
            return false;
        }
        let ratios = self.overcommit(host.cluster);
        let (row, grew) = self.hosts.put(host, ratios);
        self.note_put(registry::ROW_COMPUTE_HOST, row, grew)
    }

    fn put_pool(&mut self, pool: PoolRow) -> bool {
        let known = self.pools.row(pool.id).and_then(|row| self.pools.record(row));
        if known == Some(&pool) {
            return false;
        }
        let (row, grew) = self.pools.put(pool);
        let is_put = self.note_put(registry::ROW_STORAGE_POOL, row, grew);
        self.changed.pools_remade = self.epoch;
        is_put
    }

    fn note_put(&mut self, kind: u16, row: Row, grew: bool) -> bool {
        self.note(kind, Some(row));
        self.changed.rows_at_most = (self.hosts.len() + self.pools.len()) as usize / ROWS_A_CHANGE;
        if grew && let Some(at) = self.changed.grown.get_mut(kind as usize) {
            *at = self.epoch;
        }
        true
    }

    fn see_host(&mut self, id: ComputeHostId, state: HostState) -> bool {
        let row = self.hosts.row(id);
        let seen = row
            .and_then(|row| self.hosts.records.get_mut(row as usize)?.as_mut())
            .filter(|host| host.observed != state);
        match seen {
            Some(host) => {
                host.observed = state;
                self.note(registry::ROW_COMPUTE_HOST, row)
            }
            None => false,
        }
    }

    fn dedicate(&mut self, part: Part, to: Option<ProjectId>) -> bool {
        let Some(rows) = self.hosts.dedicate(part, to) else {
            return false;
        };
        self.epoch += 1;
        for row in rows {
            self.changed.note(self.epoch, registry::ROW_COMPUTE_HOST, row);
        }
        true
    }

    fn claim_run(&mut self, claim: RunClaim, extras: RunExtras) -> bool {
        let RunExtras { groups, resources } = extras;
        if let Some(known) = self.runs.get(&claim.run) {
            // It was read without its groups, which came later.
            let row = self.hosts.row(known.host);
            let are_new = !groups.is_empty() && self.members.groups(claim.run).is_empty();
            return match row.filter(|_| are_new) {
                Some(row) => {
                    self.members.put(claim.run, row, &groups);
                    self.note(registry::ROW_COMPUTE_HOST, Some(row))
                }
                None => false,
            };
        }
        let row = self.hosts.count(&claim, Way::In);
        if let Some(row) = row {
            self.runs.insert(claim.run, claim);
            self.members.put(claim.run, row, &groups);
            if !resources.is_empty() {
                self.hosts.resources.count(row, &resources, Way::In);
                self.held.insert(claim.run, resources);
            }
        }
        self.note(registry::ROW_COMPUTE_HOST, row)
    }

    fn claim_volume(&mut self, claim: VolumeClaim) -> bool {
        if self.volumes.contains_key(&claim.volume) || self.pools.row(claim.pool).is_none() {
            return false;
        }
        self.volumes.insert(claim.volume, claim);
        self.count_bytes(claim.pool, claim.bytes, Way::In)
    }

    fn count_bytes(&mut self, pool: StoragePoolId, bytes: u64, way: Way) -> bool {
        let row = self.pools.count(pool, bytes, way);
        self.note(registry::ROW_STORAGE_POOL, row)
    }

    /// One layer a (pool, template): what is committed takes the place of what is only planned.
    fn claim_layer(&mut self, claim: LayerClaim) -> bool {
        let of = (claim.pool, claim.template);
        if self.pools.row(claim.pool).is_none() {
            return false;
        }
        let Some(known) = self.pools.layers.get(&of).copied() else {
            self.pools.layers.insert(of, claim);
            self.layers.insert(claim.layer, of);
            return self.count_bytes(claim.pool, claim.bytes, Way::In);
        };
        if known.committed || !claim.committed {
            return false;
        }
        self.layers.remove(&known.layer);
        self.layers.insert(claim.layer, of);
        self.pools.layers.insert(of, claim);
        self.pools.count(claim.pool, known.bytes, Way::Out);
        self.count_bytes(claim.pool, claim.bytes, Way::In)
    }

    fn ready_layer(&mut self, id: LayerId) -> bool {
        let Some(of) = self.layers.get(&id).copied() else {
            return false;
        };
        match self.pools.layers.get_mut(&of).filter(|layer| !layer.ready) {
            Some(layer) => {
                layer.ready = true;
                let row = self.pools.row(of.0);
                self.note(registry::ROW_STORAGE_POOL, row)
            }
            None => false,
        }
    }
}

/// Whether a host is in the scope of a pool and attaches in a way that both know.
pub(crate) fn reaches(host: &HostRow, pool: &PoolRow) -> bool {
    let is_in_scope = match pool.scope {
        PoolScope::Zone => true,
        PoolScope::Cluster(cluster) => cluster == host.cluster,
        PoolScope::ComputeHost(id) => id == host.id,
    };
    is_in_scope && shares_kind(&host.attachment_kinds, &pool.attachment_kinds)
}

pub(crate) fn shares_kind(one: &[u16], other: &[u16]) -> bool {
    one.iter().any(|kind| other.contains(kind))
}
