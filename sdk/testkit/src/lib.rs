//! Runs plugins as the server does, in its own runtime crate, without a server: conformance suites, recorded decisions as
//! fixtures, benches. `README.md` beside this crate says what a vendor writes down for it.
//!
//! Nothing of the server depends on this crate, and nothing here is a copy of the server: [`Sandbox`] is
//! `velum_runtime::Runtime` with a directory of its own, and connectors reach what `conformance.toml` names.

mod answer;
pub mod bench;
pub mod case;
mod far_side;
pub mod fixture;
mod labels;
mod plugin;
pub mod profile;
pub mod result;
mod sandbox;
mod settings;
mod state;
pub mod suite;
mod system;

pub use answer::{Answer, Is};
pub use far_side::{FarSide, FarSideError};
pub use plugin::{Plugin, PluginError};
pub use sandbox::{Sandbox, SandboxError, Sources};
pub use settings::{BadConfig, Settings, SettingsError};
pub use velum_model::grant::beyond;
pub use velum_model::{plugin::World, port::plugins::Inspected};
pub use velum_runtime::{Limits, child_main};
