//! Clusters.

mod change;
mod create;
mod delete;

use velum_model::{
    Name,
    id::{PodId, ProjectId},
    quantity::Overcommit,
};

/// A cluster to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCluster {
    /// Its pod (and by it its zone).
    pub pod: PodId,
    /// Unique in the pod.
    pub name: Name,
    /// Name of an installed hypervisor driver.
    pub driver: Name,
    /// vCPUs promised for each that is there.
    pub cpu_overcommit: Overcommit,
    /// Memory promised for what is there.
    pub memory_overcommit: Overcommit,
}

/// What is to change of a cluster; none = stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeCluster {
    /// Another name.
    pub name: Option<Name>,
    /// vCPUs promised for each that is there.
    pub cpu_overcommit: Option<Overcommit>,
    /// Memory promised for what is there.
    pub memory_overcommit: Option<Overcommit>,
    /// The project that it is kept for from now on, or none. What runs there stays.
    pub dedicated_to: Option<Option<ProjectId>>,
}
