//! Compute, disk and network offerings.

mod compute;
mod disk;
mod network;

use velum_model::{
    Name,
    id::PolicyId,
    infrastructure::NetworkOfferingUse,
    quantity::{Bytes, ExpectedLifetime, MemoryMib, Vcpus},
    resource::Resources,
};

/// A compute offering to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewComputeOffering {
    /// Unique.
    pub name: Name,
    /// vCPUs.
    pub vcpus: Vcpus,
    /// Memory.
    pub memory: MemoryMib,
    /// Countable resources of the compute host.
    pub resources: Resources,
    /// Tags that a compute host must have, all of them.
    pub host_tags: Vec<Name>,
    /// Tags that the pool of the root volume must have, all of them.
    pub storage_tags: Vec<Name>,
    /// Policy in place of the zone's.
    pub policy: Option<PolicyId>,
    /// How long instances are expected to run that do not say it themselves.
    pub expected_lifetime: Option<ExpectedLifetime>,
}

/// What is to change of a compute offering; none = stays. Its size never changes: instances copied it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeComputeOffering {
    /// Another name.
    pub name: Option<Name>,
    /// Other host tags, in place of all.
    pub host_tags: Option<Vec<Name>>,
    /// Other storage tags, in place of all.
    pub storage_tags: Option<Vec<Name>>,
    /// Another policy, or (inner none) the zone's.
    pub policy: Option<Option<PolicyId>>,
    /// Another expected lifetime of instances to come, or (inner none) none.
    pub expected_lifetime: Option<Option<ExpectedLifetime>>,
}

/// A disk offering to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDiskOffering {
    /// Unique.
    pub name: Name,
    /// Size; none = whoever makes the volume says it.
    pub size: Option<Bytes>,
    /// Tags that the pool must have, all of them.
    pub storage_tags: Vec<Name>,
}

/// What is to change of a disk offering; none = stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeDiskOffering {
    /// Another name.
    pub name: Option<Name>,
    /// Other tags, in place of all.
    pub storage_tags: Option<Vec<Name>>,
}

/// A network offering to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewNetworkOffering {
    /// Unique.
    pub name: Name,
    /// What kind of network it makes.
    pub kind: NetworkOfferingUse,
}

/// What is to change of a network offering; none = stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeNetworkOffering {
    /// Another name.
    pub name: Option<Name>,
}
