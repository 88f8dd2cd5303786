//! Storage providers.

pub mod v0_1;
