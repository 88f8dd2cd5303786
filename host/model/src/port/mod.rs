//! Ports: what the rest of the server asks of plugins and nodes, in plain Rust. `velum-runtime` and
//! `velum-connector` implement them; `velum-service` and `velum-operation` know nothing else of either.

pub mod authority;
pub mod hypervisor;
pub mod image;
pub mod node;
pub mod placement;
pub mod plugins;
pub mod secret;
pub mod storage;
pub mod target;

pub use secret::Secret;
pub use target::{Call, Effect, Fence, Job, Outcome, Target, TargetKind};
