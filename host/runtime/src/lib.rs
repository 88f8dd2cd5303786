//! The plugin runtime: takes WebAssembly components, lets them do what was granted, believes nothing that they answer
//! before it is checked. See `README.md` for how a plugin is admitted and for the limits.
//!
//! [`Runtime`] implements `velum_model::port::plugins::Plugins`, and through it the ports of policies, drivers and
//! providers. Nothing outside this crate names wasmtime.

mod breaker;
mod call;
mod counters;
mod engine;
mod errand;
mod grant;
mod limits;
mod plugin;
mod process;
mod registry;
mod runtime;
mod sandbox;
mod schema;
mod world;

pub use grant::state::{FileState, Kept, StateStore};
pub use limits::{Limits, PluginLimits};
pub use process::{ARGUMENT as PROCESS_ARGUMENT, Uids, UidsError};
pub use registry::{ARGUMENT as COMPILE_ARGUMENT, compile_child_main};
pub use runtime::{Runtime, RuntimeError, RuntimeOptions};
pub use world::placement::v0_1::BarePolicy;

/// What a program does that was started to compile a component ([`COMPILE_ARGUMENT`]) or to run one in ([`PROCESS_ARGUMENT`]);
/// none when it was started for something else. `arguments` are all behind the program's name. To be called by `main`
/// before anything else: before threads, files and sockets.
#[must_use]
pub fn child_main(arguments: &[std::ffi::OsString]) -> Option<std::process::ExitCode> {
    let (first, rest) = arguments.split_first()?;
    if first == COMPILE_ARGUMENT {
        return Some(compile_child_main(rest));
    }
    (first == PROCESS_ARGUMENT).then(|| process::process_main(rest))
}
