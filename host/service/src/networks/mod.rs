//! Networks, and the NICs plugged into them.

mod change;
mod create;
mod delete;

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use velum_model::{
    Name,
    id::{NetworkOfferingId, ZoneId},
    net::Link,
};

/// A network to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewNetwork {
    /// Its zone.
    pub zone: ZoneId,
    /// Its offering.
    pub offering: NetworkOfferingId,
    /// Unique in the zone.
    pub name: Name,
    /// Its addresses.
    pub cidr: Ipv4Net,
    /// Its gateway, inside `cidr`.
    pub gateway: Ipv4Addr,
    /// Resolvers that guests are told; at most [`DNS_MAX`].
    pub dns: Vec<Ipv4Addr>,
    /// What it maps to on a compute host.
    pub link: Link,
}

/// What is to change of a network; none = stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeNetwork {
    /// Another name.
    pub name: Option<Name>,
    /// Other resolvers, in place of all.
    pub dns: Option<Vec<Ipv4Addr>>,
}

/// Resolvers of a network: glibc reads three, some stubs eight.
pub const DNS_MAX: usize = 8;
