//! Compute hosts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// What the operator wants of a compute host or a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// Takes new guests or volumes.
    Enabled,
    /// Takes no new ones.
    Disabled,
    /// Takes no new ones and is about to be worked on.
    Maintenance,
}

/// What the operator may set by a plain change; maintenance is an operation of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SettableIntent {
    /// Takes new guests or volumes.
    Enabled,
    /// Takes no new ones.
    Disabled,
}

/// What is seen of a compute host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// It answers.
    Up,
    /// It is confirmed down.
    Down,
    /// It does not answer; its guests keep what they hold.
    Unknown,
}

/// A machine that runs guests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComputeHostView {
    /// Its id.
    pub id: Uuid,
    /// Its zone.
    pub zone_id: Uuid,
    /// Its pod.
    pub pod_id: Uuid,
    /// Its cluster.
    pub cluster_id: Uuid,
    /// Unique in the zone.
    pub name: String,
    /// Digest of the driver in use.
    pub driver_digest: String,
    /// Settings of the driver for this host.
    #[schema(value_type = Object)]
    pub config: Value,
    /// Address of its node daemon; null where there is none.
    pub node: Option<String>,
    /// Origin of its HTTP API, for drivers of such.
    pub endpoint: Option<String>,
    /// Its management address.
    pub private_address: Option<String>,
    /// Processors that are there.
    pub vcpus: u32,
    /// Memory that is there for guests, MiB.
    pub memory_mib: u64,
    /// vCPUs that may be promised.
    pub vcpus_ceiling: u64,
    /// MiB that may be promised.
    pub memory_ceiling_mib: u64,
    /// vCPUs promised.
    pub vcpus_used: u64,
    /// MiB promised.
    pub memory_used_mib: u64,
    /// Its countable resources, by name. One that was taken away is there with a total of 0 as long as guests have some of it.
    #[serde(default)]
    pub resources: BTreeMap<String, HostResourceView>,
    /// Tags that offerings may ask for.
    pub tags: Vec<String>,
    /// Numeric attributes that policies may ask for.
    pub attributes: BTreeMap<String, u32>,
    /// What the operator wants.
    pub intent: Intent,
    /// The project that it is kept for; null = as its cluster.
    #[serde(default)]
    pub dedicated_to: Option<Uuid>,
    /// What is seen.
    pub observed: HostState,
    /// When it was last seen.
    #[schema(format = DateTime)]
    pub observed_at: Option<String>,
    /// Its boot id when last seen.
    pub boot_id: Option<String>,
    /// What its driver can do there, as probed.
    pub abilities: HostAbilitiesView,
    /// Grows with every change of the intent; the ETag.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A countable resource of a compute host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostResourceView {
    /// How much there is: no more is promised.
    pub total: u64,
    /// How much is promised.
    pub used: u64,
}

/// What a compute host's driver can do there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostAbilitiesView {
    /// Architecture: `x86-64`, `aarch64`, or the code of another.
    pub arch: String,
    /// Kinds of volume attachments, as codes of the storage contract.
    pub attachment_kinds: Vec<u16>,
    /// Kinds of NICs, as codes of the hypervisor contract.
    pub nic_kinds: Vec<u16>,
    /// Kinds of consoles, as codes of the hypervisor contract.
    pub console_kinds: Vec<u16>,
    /// Optional interfaces of the driver.
    pub interfaces: Vec<String>,
}

/// A compute host to register.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateComputeHostBody {
    /// Its cluster; pod and zone follow.
    pub cluster_id: Uuid,
    /// Unique in the zone.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// Settings of the driver for this host, checked against the plugin's schema.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"uri": "qemu:///system"}))]
    pub config: Value,
    /// Address of its node daemon: `unix:PATH`, or `tls:NODE@HOST:PORT` of a machine that was enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "unix:/run/velum/node.sock", max_length = 1024)]
    pub node: Option<String>,
    /// Origin of its HTTP API, for drivers of such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "http://127.0.0.1:7001", max_length = 1024)]
    pub endpoint: Option<String>,
    /// Its management address; one out of its pod's ranges, if it has any, unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Ipv4, example = "10.1.0.10")]
    pub private_address: Option<String>,
    /// Processors for guests; what the driver finds there unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 4096)]
    pub vcpus: Option<u64>,
    /// Memory for guests, MiB; what the driver finds there unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 16777216)]
    pub memory_mib: Option<u64>,
    /// Countable resources for guests, at most 16: GPUs, vGPUs of a profile, huge pages of a size, … A name has 1 to 63 characters out of
    /// a-z, 0-9, '.' and '-', the first a letter or a digit; an amount is 1 to 2147483648.
    #[serde(default)]
    #[schema(example = json!({"gpu": 4}))]
    pub resources: BTreeMap<String, u64>,
    /// Tags that offerings may ask for.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub tags: Vec<String>,
    /// Numeric attributes that policies may ask for.
    #[serde(default)]
    pub attributes: BTreeMap<String, u32>,
}

/// What is to change of a compute host; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateComputeHostBody {
    /// Unique in the zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: Option<String>,
    /// Other settings of the driver for this host; probed like new ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub config: Option<Value>,
    /// Processors for guests. Below what is promised, nothing is taken away: the ceiling follows as guests leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 4096)]
    pub vcpus: Option<u64>,
    /// Memory for guests, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 16777216)]
    pub memory_mib: Option<u64>,
    /// Replaces the countable resources. What guests have of those that go, or of which there are fewer, stays theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<BTreeMap<String, u64>>,
    /// Replaces the tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 64)]
    pub tags: Option<Vec<String>>,
    /// Replaces the attributes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, u32>>,
    /// Whether it takes new guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<SettableIntent>,
    /// The project that it is kept for from now on: others get no new guests there, what runs there stays. null = as its cluster.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::patch")]
    #[schema(value_type = Option<Uuid>)]
    pub dedicated_to: Option<Option<Uuid>>,
}
