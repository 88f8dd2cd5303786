//! What changes an inventory. Every update that changes something is one epoch; a recorded list of them, put on a
//! [`crate::Snapshot`], makes the same inventory again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use velum_model::{
    Name, Timestamp,
    id::*,
    infrastructure::{ComputeHost, HostState, Intent, PoolScope, StoragePool},
    instance::Run,
    quantity::{Overcommit, ResourceAmount},
    resource::Resources,
    storage::{Layer, Volume},
};

/// One change of an inventory. All are idempotent by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Update {
    /// A cluster's overcommit; the limits of its compute hosts follow.
    Cluster {
        /// Which.
        id: ClusterId,
        /// vCPUs promised for each that is there.
        cpu: Overcommit,
        /// Memory promised for what is there.
        memory: Overcommit,
    },
    /// A part of the zone is dedicated to a project, or to none.
    Dedicated {
        /// Which.
        part: Part,
        /// To whom; none = it is as what it lies in.
        to: Option<ProjectId>,
    },
    /// A compute host, new or changed.
    Host(Box<HostRow>),
    /// A compute host is gone.
    HostGone(ComputeHostId),
    /// What was seen of a compute host.
    HostSeen {
        /// Which.
        id: ComputeHostId,
        /// What.
        state: HostState,
    },
    /// A pool, new or changed.
    Pool(Box<PoolRow>),
    /// A pool is gone.
    PoolGone(StoragePoolId),
    /// A run claims its compute host.
    Run(RunClaim),
    /// A run that has more than vCPUs and memory claims its compute host.
    RunWith {
        /// Its claim.
        claim: RunClaim,
        /// What it has beside.
        extras: Box<RunExtras>,
    },
    /// A run ended.
    RunGone(RunId),
    /// A volume claims its pool.
    Volume(VolumeClaim),
    /// A volume is gone.
    VolumeGone(VolumeId),
    /// A layer claims its pool, unless (pool, template) has one.
    Layer(LayerClaim),
    /// A layer can be cloned.
    LayerReady(LayerId),
    /// A layer is gone.
    LayerGone(LayerId),
}

/// A part of a zone that can be dedicated to a project. The narrowest that is decides for a compute host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// A pod.
    Pod(PodId),
    /// A cluster.
    Cluster(ClusterId),
    /// A compute host.
    ComputeHost(ComputeHostId),
}

/// What placement reads of a compute host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRow {
    /// Its id.
    pub id: ComputeHostId,
    /// Its pod.
    pub pod: PodId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Processors that are there.
    pub vcpus: u32,
    /// MiB that are there.
    pub memory_mib: u64,
    /// Countable resources that are there.
    pub resources: Resources,
    /// Architecture.
    pub arch: u16,
    /// NIC kinds of its driver.
    pub nic_kinds: Vec<u16>,
    /// Attachment kinds of its driver.
    pub attachment_kinds: Vec<u16>,
    /// Tags.
    pub tags: Vec<Name>,
    /// Numeric attributes.
    pub attributes: BTreeMap<Name, u32>,
    /// What the operator wants.
    pub intent: Intent,
    /// What is seen.
    pub observed: HostState,
}

impl From<&ComputeHost> for HostRow {
    fn from(host: &ComputeHost) -> Self {
        // One that was taken away has no amount.
        let resources = host
            .resources
            .iter()
            .filter_map(|(name, of)| Some((name.clone(), ResourceAmount::new(of.total).ok()?)));
        Self {
            resources: resources.collect(),
            id: host.id,
            pod: host.pod,
            cluster: host.cluster,
            vcpus: host.vcpus.get(),
            memory_mib: host.memory.get(),
            arch: host.abilities.arch,
            nic_kinds: host.abilities.nic_kinds.clone(),
            attachment_kinds: host.abilities.attachment_kinds.clone(),
            tags: host.tags.clone(),
            attributes: host.attributes.clone(),
            intent: host.intent,
            observed: host.observed,
        }
    }
}

/// What placement reads of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRow {
    /// Its id.
    pub id: StoragePoolId,
    /// Which compute hosts reach it.
    pub scope: PoolScope,
    /// What may be promised.
    pub capacity_bytes: u64,
    /// How its volumes can be reached.
    pub attachment_kinds: Vec<u16>,
    /// Sizes are multiples of this; 0 and 1 = any.
    pub granularity_bytes: u64,
    /// The smallest volume.
    pub min_bytes: u64,
    /// The largest volume; 0 = no bound.
    pub max_bytes: u64,
    /// Tags.
    pub tags: Vec<Name>,
    /// Numeric attributes.
    pub attributes: BTreeMap<Name, u32>,
    /// What the operator wants.
    pub intent: Intent,
}

impl From<&StoragePool> for PoolRow {
    fn from(pool: &StoragePool) -> Self {
        Self {
            id: pool.id,
            scope: pool.scope,
            capacity_bytes: pool.capacity.get(),
            attachment_kinds: pool.abilities.attachment_kinds.clone(),
            granularity_bytes: pool.abilities.granularity_bytes,
            min_bytes: pool.abilities.min_bytes,
            max_bytes: pool.abilities.max_bytes,
            tags: pool.tags.clone(),
            attributes: pool.attributes.clone(),
            intent: pool.intent,
        }
    }
}

impl PoolRow {
    /// The size that a volume of `bytes` gets here.
    #[must_use]
    pub fn size_of(&self, bytes: u64) -> u64 {
        let at_least = bytes.max(self.min_bytes);
        let step = self.granularity_bytes.max(1);
        at_least.checked_next_multiple_of(step).unwrap_or(u64::MAX)
    }

    /// Whether a volume of this (rounded) size may exist here.
    #[must_use]
    pub fn allows(&self, size: u64) -> bool {
        self.max_bytes == 0 || size <= self.max_bytes
    }
}

/// What a run holds of its compute host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunClaim {
    /// Which run.
    pub run: RunId,
    /// Where.
    pub host: ComputeHostId,
    /// Whose.
    pub project: ProjectId,
    /// vCPUs.
    pub vcpus: u32,
    /// MiB.
    pub memory_mib: u64,
    /// The minute since 1970 at which it is expected to end; none = nobody said.
    pub expected_end: Option<u32>,
}

impl RunClaim {
    /// The claim of a run.
    #[must_use]
    pub fn of(run: &Run, project: ProjectId) -> Self {
        Self {
            run: run.id,
            host: run.compute_host,
            project,
            vcpus: run.vcpus.get(),
            memory_mib: run.memory.get(),
            expected_end: run.expected_end_at.map(Timestamp::minute),
        }
    }
}

/// What few runs have: apart from their claims, of which there may be a million.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunExtras {
    /// The affinity groups of its instance, in no order.
    pub groups: Vec<AffinityGroupId>,
    /// Countable resources that it holds.
    pub resources: Resources,
}

impl RunExtras {
    /// Whether there is nothing.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.groups.is_empty() && self.resources.is_empty()
    }
}

impl Update {
    /// The claim of a run that has these.
    #[must_use]
    pub fn run(claim: RunClaim, extras: RunExtras) -> Self {
        if extras.are_none() {
            Self::Run(claim)
        } else {
            Self::RunWith {
                claim,
                extras: Box::new(extras),
            }
        }
    }
}

/// What a volume holds of its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeClaim {
    /// Which volume.
    pub volume: VolumeId,
    /// Of which pool.
    pub pool: StoragePoolId,
    /// Bytes.
    pub bytes: u64,
}

impl From<&Volume> for VolumeClaim {
    fn from(volume: &Volume) -> Self {
        Self {
            volume: volume.id,
            pool: volume.pool,
            bytes: volume.size.get(),
        }
    }
}

/// What a layer holds of its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerClaim {
    /// Which layer.
    pub layer: LayerId,
    /// Of which pool.
    pub pool: StoragePoolId,
    /// Of which template.
    pub template: TemplateId,
    /// Bytes.
    pub bytes: u64,
    /// Whether it can be cloned.
    pub ready: bool,
    /// False while only a plan wants it: the one that is committed first takes its place.
    pub committed: bool,
}

impl From<&Layer> for LayerClaim {
    fn from(layer: &Layer) -> Self {
        Self {
            layer: layer.id,
            pool: layer.pool,
            template: layer.template,
            bytes: layer.size.get(),
            ready: layer.ready,
            committed: true,
        }
    }
}
