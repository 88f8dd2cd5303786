//! One adapter for each world and version: bindings, conversions, checks of what comes back.

pub mod placement;
