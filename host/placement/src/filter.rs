//! The hard filters: what no policy can overrule.

use velum_model::{Name, ProjectId, decision::Refusal, infrastructure::Intent};

use crate::{
    ask::{Ask, DiskAsk},
    hosts::Gate,
    inventory::{Inventory, reaches, shares_kind},
    row::{Row, RowMask},
    ties::Ties,
    update::HostRow,
};

/// Grows when the filters, their order or the order among equals change: a replay of an older decision is then not expected to
/// agree.
pub const FILTER_VERSION: u32 = 4;

/// What the filters left, and why the rest is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filtered {
    /// Compute hosts that can take the ask.
    pub candidates: RowMask,
    /// Every other compute host with the first filter that refused it, in row order.
    pub refused: Vec<(Row, Refusal)>,
    /// Compute hosts looked at.
    pub considered: u32,
}

/// How far the best pool in reach came. Sequential: each step presumes the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// None in scope that takes new volumes.
    NoScope,
    /// In scope, without the tags.
    Scope,
    /// With the tags, without a common attachment kind.
    Tags,
    /// Attachable, without the space.
    Kinds,
    /// It fits.
    Fits,
}

impl Stage {
    pub(crate) const fn refusal(self) -> Option<Refusal> {
        match self {
            Self::NoScope | Self::Tags => Some(Refusal::StorageReach),
            Self::Scope => Some(Refusal::StorageTags),
            Self::Kinds => Some(Refusal::StorageSpace),
            Self::Fits => None,
        }
    }
}

/// Applies the filters to every compute host. The order is that of [`Refusal`]: disabled, maintenance, not up, dedicated to
/// another project, architecture, tags (in the order asked), NIC kinds, vCPUs, memory, countable resources (in the order of their
/// names), then for each new disk the pools in reach (scope and intent, tags, attachment kinds, space with the layer that is not there
/// yet), existing volumes, required affinity groups (in the order asked), exclusion. The first that refuses counts. Whoever decides often
/// keeps what is found here ([`crate::Placer`]); this looks at everything anew.
#[must_use]
pub fn filter(inventory: &Inventory, ask: &Ask) -> Filtered {
    let mut found = Filtered::default();
    let mut pools = PoolsInReach::new(&ask.disks);
    let ties = Ties::of(inventory, ask);
    let tenant = inventory.hosts.tenant(ask.project);
    for row in 0..inventory.hosts.len() {
        let Some(host) = inventory.hosts.record(row) else {
            continue;
        };
        found.considered += 1;
        let refusal = by_itself(inventory, (ask, tenant), row, host)
            .or_else(|| pools.refuse(inventory, row, host))
            .or_else(|| by_ties(inventory, ask, &ties, row));
        match refusal {
            None => found.candidates.insert(row),
            Some(refusal) => found.refused.push((row, refusal)),
        }
    }
    found
}

/// What the row alone decides. `tenant` is the project of the ask, if rows are kept for it: not that of whoever asked first for the
/// same shape, for whom rows may be kept later.
pub(crate) fn by_itself(
    inventory: &Inventory,
    (ask, tenant): (&Ask, Option<ProjectId>),
    row: Row,
    host: &HostRow,
) -> Option<Refusal> {
    let hosts = &inventory.hosts;
    match hosts.gate(row) {
        Gate::Disabled => return Some(Refusal::Disabled),
        Gate::Maintenance => return Some(Refusal::Maintenance),
        Gate::NotUp | Gate::Vacant => return Some(Refusal::NotUp),
        Gate::Open => {}
    }
    if hosts.tenant_of(row).is_some_and(|of| Some(of) != tenant) {
        return Some(Refusal::Dedicated);
    }
    if ask.arch.is_some_and(|arch| arch != host.arch) {
        return Some(Refusal::Architecture);
    }
    if let Some(tag) = ask.host_tags.iter().find(|tag| !hosts.has_tag(row, tag)) {
        return Some(Refusal::Tag { tag: tag.to_string() });
    }
    if !ask.nic_kinds.iter().all(|kind| host.nic_kinds.contains(kind)) {
        return Some(Refusal::NicKind);
    }
    if hosts.free_vcpus(row) < u64::from(ask.vcpus.get()) {
        return Some(Refusal::Vcpus);
    }
    if hosts.free_memory(row) < ask.memory.get() {
        return Some(Refusal::Memory);
    }
    let (name, asked) = hosts.resources.short_of(&ask.resources, row)?;
    Some(Refusal::Resource {
        resource: name.to_string(),
        asked,
    })
}

/// What ties the instance to or keeps it from certain hosts.
pub(crate) fn by_ties(inventory: &Inventory, ask: &Ask, ties: &Ties<'_>, row: Row) -> Option<Refusal> {
    let host = inventory.host(row)?;
    let is_near = |&id| {
        let pool = inventory.pool_row(id).and_then(|row| inventory.pool(row));
        pool.is_some_and(|pool| reaches(host, pool))
    };
    if !ask.pinned.iter().all(is_near) {
        return Some(Refusal::VolumeElsewhere);
    }
    let excluded = || ask.excluded.contains(&host.id).then_some(Refusal::Excluded);
    ties.refuse(row).or_else(excluded)
}

/// How far the disks of an ask come in the pools that compute hosts reach. Pools that many hosts share are judged once for all hosts of
/// a cluster whose drivers attach in the same ways.
#[derive(Clone, Debug)]
pub(crate) struct PoolsInReach {
    disks: Vec<DiskAsk>,
    /// By the number of the reach; none = not asked for yet.
    shared: Vec<Option<Vec<Stage>>>,
}

impl PoolsInReach {
    pub(crate) fn new(disks: &[DiskAsk]) -> Self {
        Self {
            disks: disks.to_vec(),
            shared: Vec::new(),
        }
    }

    /// Why no pool in reach of a row takes a disk, if so.
    pub(crate) fn refuse(&mut self, inventory: &Inventory, row: Row, host: &HostRow) -> Option<Refusal> {
        if self.disks.is_empty() {
            return None;
        }
        let number = inventory.hosts.reach_of(row) as usize;
        if self.shared.len() <= number {
            self.shared.resize(number + 1, None);
        }
        let shared = self.shared.get_mut(number)?;
        let stages = shared.get_or_insert_with(|| shared_stages(inventory, number as u32, &self.disks));
        if !inventory.pools.has_local(host.id) {
            return stages.iter().find_map(|stage| stage.refusal());
        }
        self.disks.iter().zip(stages).find_map(|(disk, shared)| {
            let kinds = &host.attachment_kinds;
            let local = best_stage(inventory, inventory.pools.local_to(host.id), kinds, disk);
            local.max(*shared).refusal()
        })
    }

    /// Judges a reach anew, if it was asked for. True when it came out otherwise.
    pub(crate) fn judge_again(&mut self, inventory: &Inventory, number: u32) -> bool {
        let Some(Some(known)) = self.shared.get_mut(number as usize) else {
            return false;
        };
        let now = shared_stages(inventory, number, &self.disks);
        let is_other = now != *known;
        *known = now;
        is_other
    }
}

/// Of each disk, how far it comes in the pools that all hosts of a reach share.
fn shared_stages(inventory: &Inventory, number: u32, disks: &[DiskAsk]) -> Vec<Stage> {
    let best = |disk: &DiskAsk| {
        let (cluster, kinds) = inventory.hosts.reach(number)?;
        let pools = inventory.pools.shared_with(*cluster);
        Some(best_stage(inventory, pools, kinds, disk))
    };
    disks
        .iter()
        .map(|disk| best(disk).unwrap_or(Stage::NoScope))
        .collect()
}

fn best_stage(
    inventory: &Inventory,
    pools: impl Iterator<Item = Row>,
    kinds: &[u16],
    disk: &DiskAsk,
) -> Stage {
    pools
        .map(|row| stage(inventory, row, Some(kinds), disk, 0))
        .max()
        .unwrap_or(Stage::NoScope)
}

/// How far one pool in scope comes. `kinds` none = whoever attaches is not known yet; `taken` bytes of it are spoken
/// for already.
pub(crate) fn stage(
    inventory: &Inventory,
    row: Row,
    kinds: Option<&[u16]>,
    disk: &DiskAsk,
    taken: u64,
) -> Stage {
    let pools = &inventory.pools;
    let Some(pool) = pools.record(row).filter(|pool| pool.intent == Intent::Enabled) else {
        return Stage::NoScope;
    };
    if !disk.storage_tags.iter().all(|tag: &Name| pools.has_tag(row, tag)) {
        return Stage::Scope;
    }
    if kinds.is_some_and(|kinds| !shares_kind(kinds, &pool.attachment_kinds)) {
        return Stage::Tags;
    }
    let size = pool.size_of(disk.bytes);
    let layer = disk
        .template
        .map_or(0, |of| pools.layer_need(pool.id, of.id, of.layer_bytes));
    let room = pools.free(row).saturating_sub(taken);
    if pool.allows(size) && size.saturating_add(layer) <= room {
        Stage::Fits
    } else {
        Stage::Kinds
    }
}

/// Pools that take a disk for this compute host, ascending; `taken` tells what of a pool is spoken for already.
pub(crate) fn pools_for(
    inventory: &Inventory,
    host: &HostRow,
    disk: &DiskAsk,
    taken: impl Fn(Row) -> u64,
) -> Vec<Row> {
    let kinds = Some(host.attachment_kinds.as_slice());
    let mut rows = inventory.pools.in_scope_of(host);
    rows.retain(|&row| stage(inventory, row, kinds, disk, taken(row)) == Stage::Fits);
    rows
}

/// Pools that take a disk that no compute host has yet, and why each other does not.
pub(crate) fn pools_anywhere(inventory: &Inventory, disk: &DiskAsk) -> (Vec<Row>, Vec<(Row, Refusal)>) {
    let (mut fitting, mut refused) = (Vec::new(), Vec::new());
    for row in 0..inventory.pools.len() {
        let Some(pool) = inventory.pools.record(row) else {
            continue;
        };
        let refusal = match pool.intent {
            Intent::Disabled => Some(Refusal::Disabled),
            Intent::Maintenance => Some(Refusal::Maintenance),
            Intent::Enabled => stage(inventory, row, None, disk, 0).refusal(),
        };
        match refusal {
            None => fitting.push(row),
            Some(refusal) => refused.push((row, refusal)),
        }
    }
    (fitting, refused)
}
