//! Pods.

mod change;
mod create;
mod delete;

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use velum_model::{
    Name,
    id::{ProjectId, ZoneId},
};

pub(crate) use create::check_gateway;

/// A pod to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPod {
    /// Its zone.
    pub zone: ZoneId,
    /// Unique in the zone.
    pub name: Name,
    /// Its management network.
    pub cidr: Ipv4Net,
    /// Gateway of it, inside `cidr`.
    pub gateway: Ipv4Addr,
}

/// What is to change of a pod; none = stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangePod {
    /// Another name.
    pub name: Option<Name>,
    /// The project that it is kept for from now on, or none. What runs there stays.
    pub dedicated_to: Option<Option<ProjectId>>,
}
