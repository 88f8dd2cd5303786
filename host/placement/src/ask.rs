//! What is asked for.

use serde::{Deserialize, Serialize};
use velum_model::{
    Name,
    affinity::AffinityTie,
    id::*,
    port::placement::registry::NO_END,
    quantity::{ExpectedLifetime, MemoryMib, Vcpus},
    resource::Resources,
};

/// A machine that looks for a compute host and for pools of the disks that are to be made with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// For which instance.
    pub instance: InstanceId,
    /// Whose it is.
    pub project: ProjectId,
    /// vCPUs.
    pub vcpus: Vcpus,
    /// Memory.
    pub memory: MemoryMib,
    /// Countable resources of the compute host.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Architecture (`port::hypervisor::registry`); none = any.
    #[serde(default)]
    pub arch: Option<u16>,
    /// How long it is expected to run; none = nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_lifetime: Option<ExpectedLifetime>,
    /// The minute since 1970 in which it is decided: policies have no other clock.
    #[serde(default)]
    pub now_minute: u32,
    /// Tags that the compute host must have, all of them.
    #[serde(default)]
    pub host_tags: Vec<Name>,
    /// Kinds of NIC that the driver must be able to plug, all of them.
    #[serde(default)]
    pub nic_kinds: Vec<u16>,
    /// Disks that are to be made, root first.
    #[serde(default)]
    pub disks: Vec<DiskAsk>,
    /// Pools of the volumes that the instance has already.
    #[serde(default)]
    pub pinned: Vec<StoragePoolId>,
    /// Compute hosts where an attempt failed.
    #[serde(default)]
    pub excluded: Vec<ComputeHostId>,
    /// Where it ran before.
    #[serde(default)]
    pub previous: Option<ComputeHostId>,
    /// What its affinity groups want.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ties: Vec<AffinityTie>,
    /// Its run that ends when it has another place: no member of its groups beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<RunId>,
}

impl Ask {
    /// The minute since 1970 at which the machine is expected to end, if it begins now: the first that is not too early.
    #[must_use]
    pub fn expected_end(&self) -> Option<u32> {
        let minutes = self.expected_lifetime?.get().div_ceil(60);
        Some(self.now_minute.saturating_add(minutes).min(NO_END - 1))
    }
}

/// A disk that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskAsk {
    /// Its size.
    pub bytes: u64,
    /// Tags that the pool must have, all of them.
    #[serde(default)]
    pub storage_tags: Vec<Name>,
    /// What it is cloned from.
    #[serde(default)]
    pub template: Option<TemplateAsk>,
}

/// A template that a disk is cloned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateAsk {
    /// Which.
    pub id: TemplateId,
    /// What a pool needs for it once, if it does not hold it yet.
    pub layer_bytes: u64,
}
