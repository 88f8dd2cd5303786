//! Placement policies.

pub mod v0_1;
