//! `velum-node`: the one process on a compute host that touches libvirt, image files, seeds, bridges and consoles, for
//! servers that speak to it in the messages of `velum-connector`: over a Unix socket on the same machine, over TLS from
//! others, once the machine is enrolled.
//!
//! Every effect passes the [`gate`], which refuses an older owner or incarnation in the effect's own critical section.

mod console;
mod disk;
mod effects;
pub mod enrol;
mod files;
pub mod gate;
mod guard;
mod held;
pub mod image;
mod initiator;
mod iscsi;
mod jobs;
mod libvirt;
mod links;
mod node;
mod roots;
mod seed;
mod serve;
mod start;
mod tool;
mod volume;
pub mod xml;

pub use self::{
    guard::{Guard, GuardError},
    node::Node,
    serve::{serve, serve_tls},
    start::{StartError, StateLock, bind},
};
