//! The plugin runtime: takes WebAssembly components, lets them do what was granted, believes nothing that they answer
//! before it is checked. See `README.md` for how a plugin is admitted and for the limits.
//!
//! [`Runtime`] implements `velum_model::port::plugins::Plugins`, and through it the ports of policies, drivers and
//! providers. Nothing outside this crate names wasmtime.

mod breaker;
mod call;
mod counters;
mod engine;
mod grant;
mod limits;
mod plugin;
mod registry;
mod runtime;
mod schema;
mod world;

pub use grant::state::{FileState, Kept, StateStore};
pub use limits::{Limits, PluginLimits};
pub use registry::{ARGUMENT as COMPILE_ARGUMENT, compile_child_main};
pub use runtime::{Runtime, RuntimeError, RuntimeOptions};
pub use world::placement::v0_1::BarePolicy;
