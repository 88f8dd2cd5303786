//! Hypervisor drivers.

pub mod v0_1;
