//! The hierarchy that the provider owns: zone > pod > cluster > compute host; pools, image stores, networks, addresses,
//! offerings.

use std::{collections::BTreeMap, net::Ipv4Addr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    id::*,
    name::Name,
    net::{AddressRange, Link, Mac},
    quantity::{Bytes, ExpectedLifetime, MemoryMib, Overcommit, Vcpus},
    resource::{HostResource, ResourceName, Resources},
    time::Timestamp,
};

/// Who may use a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZoneAccess {
    /// Everyone.
    Public,
    /// One project.
    Private(ProjectId),
}

/// A data centre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its id.
    pub id: ZoneId,
    /// Unique.
    pub name: Name,
    /// Who may use it.
    pub access: ZoneAccess,
    /// The shard that owns it; today one a zone.
    pub shard: ShardId,
    /// Policy that ranks compute hosts; none = the built-in one.
    pub policy: Option<PolicyId>,
    /// Policy that ranks storage pools; none = the built-in one.
    pub pool_policy: Option<PolicyId>,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A rack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its id.
    pub id: PodId,
    /// Its zone.
    pub zone: ZoneId,
    /// Unique in the zone.
    pub name: Name,
    /// Its management network; no two pods of a zone overlap.
    pub cidr: Ipv4Net,
    /// Gateway of the management network.
    pub gateway: Ipv4Addr,
    /// The project that its compute hosts are kept for, unless they or their cluster are for another.
    pub dedicated_to: Option<ProjectId>,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Compute hosts alike in hypervisor, hardware and subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its id.
    pub id: ClusterId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its pod.
    pub pod: PodId,
    /// The shard that owns it.
    pub shard: ShardId,
    /// Unique in the pod.
    pub name: Name,
    /// Name of the hypervisor driver's plugin (`hypervisor-libvirt`); the newest installed version is used by new
    /// compute hosts.
    pub driver: Name,
    /// How many vCPUs may be promised for each that is there.
    pub cpu_overcommit: Overcommit,
    /// How much memory may be promised for what is there.
    pub memory_overcommit: Overcommit,
    /// The project that its compute hosts are kept for, unless they are for another; none = as its pod.
    pub dedicated_to: Option<ProjectId>,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What the operator wants of a compute host or pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// Takes new guests or volumes.
    Enabled,
    /// Takes no new ones.
    Disabled,
    /// Takes no new ones and is about to be worked on.
    Maintenance,
}

/// What is seen of a compute host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// It answers.
    Up,
    /// It is confirmed down.
    Down,
    /// It does not answer: its guests keep their claims (law 8).
    Unknown,
}

/// A machine that runs guests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeHost {
    /// Its id.
    pub id: ComputeHostId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its pod.
    pub pod: PodId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Unique in the zone.
    pub name: Name,
    /// The driver in use.
    pub driver: crate::plugin::Digest,
    /// Settings of the driver for this host (`{"uri": "qemu:///system"}`).
    pub config: Value,
    /// Address of its `velum-node`; none for far sides that have none.
    pub node: Option<String>,
    /// Origin of its HTTP API, for drivers of such.
    pub endpoint: Option<String>,
    /// Its management address out of the pod's ranges, claimed.
    pub private_address: Option<Ipv4Addr>,
    /// Processors that are there.
    pub vcpus: Vcpus,
    /// Memory that is there for guests.
    pub memory: MemoryMib,
    /// vCPUs that may be promised: the larger of physical x overcommit and what was in use when that fell (law 2).
    pub vcpus_ceiling: u64,
    /// MiB that may be promised.
    pub memory_ceiling: u64,
    /// vCPUs promised: the sum of its runs' claims.
    pub vcpus_used: u64,
    /// MiB promised.
    pub memory_used: u64,
    /// Its countable resources. A change of the host names all that it has or had: one that was taken away has a total of 0.
    pub resources: BTreeMap<ResourceName, HostResource>,
    /// Tags that offerings may ask for.
    pub tags: Vec<Name>,
    /// Numeric attributes that policies may ask for.
    pub attributes: BTreeMap<Name, u32>,
    /// NIC and attachment kinds of the driver, and how storage sees this host, as probed.
    pub abilities: HostAbilities,
    /// What the operator wants.
    pub intent: Intent,
    /// The project that it is kept for; none = as its cluster.
    pub dedicated_to: Option<ProjectId>,
    /// What is seen.
    pub observed: HostState,
    /// Its boot id when last seen.
    pub boot_id: Option<String>,
    /// When it was last seen.
    pub observed_at: Option<Timestamp>,
    /// Operations that were accepted before this instant keep the driver that it had then; none = it had no other that
    /// any operation keeps.
    pub driven_since: Option<Timestamp>,
    /// Grows with every change of the intent.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a compute host can reach, as its driver said when it was registered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAbilities {
    /// Architecture (see `port::hypervisor::registry`).
    pub arch: u16,
    /// Attachment kinds.
    pub attachment_kinds: Vec<u16>,
    /// NIC kinds.
    pub nic_kinds: Vec<u16>,
    /// Console kinds.
    pub console_kinds: Vec<u16>,
    /// Optional interfaces of the driver.
    pub interfaces: Vec<String>,
    /// How storage sees it.
    pub initiators: Vec<crate::port::storage::Initiator>,
}

/// Which compute hosts reach a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolScope {
    /// Those of its zone.
    Zone,
    /// Those of one cluster.
    Cluster(ClusterId),
    /// One.
    ComputeHost(ComputeHostId),
}

/// Primary storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoragePool {
    /// Its id.
    pub id: StoragePoolId,
    /// Its zone.
    pub zone: ZoneId,
    /// Which compute hosts reach it.
    pub scope: PoolScope,
    /// Unique in the zone.
    pub name: Name,
    /// The provider in use.
    pub provider: crate::plugin::Digest,
    /// Settings of the provider for this pool (`{"directory": "/var/lib/velum/pool"}`).
    pub config: Value,
    /// Address of the `velum-node` that executes its `files` calls.
    pub node: Option<String>,
    /// Origin of its HTTP API.
    pub endpoint: Option<String>,
    /// Where the operator keeps the credential that requests to it carry (`file:/absolute/path`).
    pub credential: Option<String>,
    /// What it holds.
    pub capacity: Bytes,
    /// Bytes that may be promised (law 2).
    pub bytes_ceiling: u64,
    /// Bytes promised: the sum of its volumes and layers.
    pub bytes_used: u64,
    /// Tags that offerings may ask for.
    pub tags: Vec<Name>,
    /// Numeric attributes that policies may ask for.
    pub attributes: BTreeMap<Name, u32>,
    /// What the provider can do, as probed.
    pub abilities: PoolAbilities,
    /// What the operator wants.
    pub intent: Intent,
    /// Operations that were accepted before this instant keep the provider that it had then; none = it had no other that
    /// any operation keeps.
    pub driven_since: Option<Timestamp>,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a provider can do for a pool, as it said when the pool was registered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolAbilities {
    /// How its volumes can be reached.
    pub attachment_kinds: Vec<u16>,
    /// Formats it keeps.
    pub formats: Vec<u16>,
    /// Features (`port::storage::registry`).
    pub features: Vec<u16>,
    /// Sizes are multiples of this.
    pub granularity_bytes: u64,
    /// The smallest volume.
    pub min_bytes: u64,
    /// The largest volume.
    pub max_bytes: u64,
}

/// Where templates are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageStorePlace {
    /// A directory of a node.
    Directory {
        /// Address of the `velum-node`.
        node: String,
        /// The directory there.
        directory: String,
    },
    /// An HTTP endpoint that speaks the image store's protocol (the simulated far side, a vendor's gateway).
    Http {
        /// Its origin and base path.
        endpoint: String,
    },
}

/// Secondary storage of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageStore {
    /// Its id.
    pub id: ImageStoreId,
    /// Its zone.
    pub zone: ZoneId,
    /// Unique in the zone.
    pub name: Name,
    /// Where it is.
    pub place: ImageStorePlace,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a range of addresses is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IpRangeUse {
    /// Guests' addresses on a network.
    Public(NetworkId),
    /// Management addresses of a pod.
    Private(PodId),
}

/// A range of addresses. No two ranges of one network or one pod overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpRange {
    /// Its id.
    pub id: IpRangeId,
    /// Its zone.
    pub zone: ZoneId,
    /// What it is for.
    pub used_for: IpRangeUse,
    /// The addresses.
    pub range: AddressRange,
    /// Claimed addresses in it.
    pub claimed: u64,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One claimed address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpAddress {
    /// Its id.
    pub id: IpAddressId,
    /// The range that it is of.
    pub range: IpRangeId,
    /// The address.
    pub address: Ipv4Addr,
    /// Its owner.
    pub project: ProjectId,
    /// What holds it.
    pub holder: AddressHolder,
    /// When it was claimed.
    pub created_at: Timestamp,
}

/// What holds an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressHolder {
    /// A NIC.
    Nic(NicId),
    /// A compute host (private ranges).
    ComputeHost(ComputeHostId),
}

/// A network. Today: shared ones, with addresses out of their ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its id.
    pub id: NetworkId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its owner.
    pub project: ProjectId,
    /// Its offering.
    pub offering: NetworkOfferingId,
    /// Unique in the zone.
    pub name: Name,
    /// Its addresses.
    pub cidr: Ipv4Net,
    /// Its gateway, inside `cidr`.
    pub gateway: Ipv4Addr,
    /// Resolvers that guests are told.
    pub dns: Vec<Ipv4Addr>,
    /// What it maps to on a compute host.
    pub link: Link,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A network interface of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    /// Its id.
    pub id: NicId,
    /// Its instance.
    pub instance: InstanceId,
    /// Its network.
    pub network: NetworkId,
    /// Its owner.
    pub project: ProjectId,
    /// Position, from 0.
    pub slot: u16,
    /// Unique in the cloud.
    pub mac: Mac,
    /// Unique in its network.
    pub address: Ipv4Addr,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A shape of instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeOffering {
    /// Its id.
    pub id: ComputeOfferingId,
    /// Unique.
    pub name: Name,
    /// vCPUs.
    pub vcpus: Vcpus,
    /// Memory.
    pub memory: MemoryMib,
    /// Countable resources of the compute host that an instance is given for itself.
    pub resources: Resources,
    /// Tags that a compute host must have, all of them.
    pub host_tags: Vec<Name>,
    /// Tags that the pool of the root volume must have.
    pub storage_tags: Vec<Name>,
    /// Policy in place of the zone's.
    pub policy: Option<PolicyId>,
    /// How long instances are expected to run that do not say it themselves.
    pub expected_lifetime: Option<ExpectedLifetime>,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A shape of volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOffering {
    /// Its id.
    pub id: DiskOfferingId,
    /// Unique.
    pub name: Name,
    /// Size; none = whoever makes the volume says it.
    pub size: Option<Bytes>,
    /// Tags that the pool must have.
    pub storage_tags: Vec<Name>,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A shape of networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkOffering {
    /// Its id.
    pub id: NetworkOfferingId,
    /// Unique.
    pub name: Name,
    /// What kind of network it makes; today `shared`.
    pub kind: NetworkOfferingUse,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Kinds of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkOfferingUse {
    /// One broadcast domain that several projects' instances may share.
    Shared,
}
