//! Ranges of addresses, and the addresses claimed in them.

mod create;
mod delete;

use std::net::Ipv4Addr;

use velum_model::infrastructure::IpRangeUse;

/// A range to be made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewIpRange {
    /// A network (guests' addresses) or a pod (management addresses).
    pub used_for: IpRangeUse,
    /// Its first address.
    pub first: Ipv4Addr,
    /// Its last address.
    pub last: Ipv4Addr,
}
