//! Compute hosts.

mod address;
mod change;
mod create;
mod delete;
mod maintenance;

use std::{collections::BTreeMap, net::Ipv4Addr};

use serde_json::Value;
use velum_model::{
    Name,
    id::{ClusterId, ProjectId},
    quantity::{MemoryMib, Vcpus},
    resource::Resources,
};

pub(crate) use address::PrivateAddresses;
pub(crate) use create::{object, target_of};

/// A compute host to be registered. It must answer: its driver probes it before anything is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NewComputeHost {
    /// Its cluster (and by it its pod, its zone and its driver).
    pub cluster: ClusterId,
    /// Unique in the zone.
    pub name: Name,
    /// Settings of the driver for this host, checked against the plugin's schema (`[target]`).
    pub config: Value,
    /// Address of its `velum-node`.
    pub node: Option<String>,
    /// Origin of its HTTP API.
    pub endpoint: Option<String>,
    /// A management address; none = one out of the pod's ranges, if it has any.
    pub private_address: Option<Ipv4Addr>,
    /// Processors; none = what the probe finds.
    pub vcpus: Option<Vcpus>,
    /// Memory for guests; none = what the probe finds.
    pub memory: Option<MemoryMib>,
    /// Countable resources for guests.
    pub resources: Resources,
    /// Tags that offerings may ask for.
    pub tags: Vec<Name>,
    /// Numeric attributes that policies may ask for.
    pub attributes: BTreeMap<Name, u32>,
}

/// What is to change of a compute host; none = stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeComputeHost {
    /// Another name.
    pub name: Option<Name>,
    /// Whether it takes new guests. Maintenance is an operation: [`crate::Services::compute_host_maintenance`].
    pub enabled: Option<bool>,
    /// Other tags, in place of all.
    pub tags: Option<Vec<Name>>,
    /// Other attributes, in place of all.
    pub attributes: Option<BTreeMap<Name, u32>>,
    /// Other settings; probed like new ones.
    pub config: Option<Value>,
    /// Processors.
    pub vcpus: Option<Vcpus>,
    /// Memory for guests.
    pub memory: Option<MemoryMib>,
    /// Other countable resources, in place of all. What guests have of those that go stays theirs.
    pub resources: Option<Resources>,
    /// The project that it is kept for from now on, or none. What runs there stays.
    pub dedicated_to: Option<Option<ProjectId>>,
}
