//! The connectors (`velum:connect`): what a plugin may be granted. Outside a component there is none, so logic that is
//! to be tested natively takes a trait of its own and the glue implements it over these.

pub use crate::bindings::imports::velum::connect::{files, http, libvirt, secrets, state};
