//! Instances.

mod batch;
mod console;
mod create;
mod destroy;
mod detail;
mod elsewhere;
mod plan;
mod start;
mod stop;

pub use batch::{BATCH_MAX, Batch, NewInstances};

use std::net::Ipv4Addr;

use velum_model::{
    Name,
    decision::Decision,
    id::{AffinityGroupId, ComputeOfferingId, NetworkId, TemplateId, ZoneId},
    infrastructure::Nic,
    instance::Instance,
    quantity::{Bytes, ExpectedLifetime},
    storage::Volume,
};

/// An instance to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewInstance {
    /// Its zone.
    pub zone: ZoneId,
    /// Unique in its project and zone; its host name in lower case.
    pub name: Name,
    /// Its shape.
    pub offering: ComputeOfferingId,
    /// What it is made from.
    pub template: TemplateId,
    /// Its NICs in slot order; 1 to [`NICS_MAX`].
    pub networks: Vec<NewNic>,
    /// Size of the root volume; none = the template's.
    pub root_size: Option<Bytes>,
    /// Affinity groups that it is in, each once; at most [`velum_model::affinity::AFFINITY_GROUPS_MAX`].
    pub affinity_groups: Vec<AffinityGroupId>,
    /// cloud-init user data, opaque; at most [`velum_model::instance::USER_DATA_MAX`] bytes.
    pub user_data: Vec<u8>,
    /// How long each of its runs is expected to last; none = as its offering says.
    pub expected_lifetime: Option<ExpectedLifetime>,
}

/// A NIC of an instance to be made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewNic {
    /// The network.
    pub network: NetworkId,
    /// A certain address of it; none = any free one.
    pub address: Option<Ipv4Addr>,
}

/// NICs of an instance: what guests of the first hypervisors took, and plenty.
pub const NICS_MAX: usize = 8;

/// An instance with what hangs on it.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceDetail {
    /// The instance, with its run.
    pub instance: Instance,
    /// Its NICs by slot.
    pub nics: Vec<Nic>,
    /// Its volumes by slot, root first.
    pub volumes: Vec<Volume>,
    /// The affinity groups that it is in.
    pub affinity_groups: Vec<AffinityGroupId>,
}

/// Why an instance is where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    /// The decision of its last run.
    pub decision: Decision,
    /// Names of the compute hosts in it, by id: winner, runners-up, refused.
    pub hosts: Vec<(velum_model::ComputeHostId, String)>,
}
