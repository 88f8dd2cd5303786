//! `velum-node`: the one process on a compute host that touches libvirt, image files, seeds, bridges and consoles, for
//! servers that speak to it over a Unix socket in the messages of `velum-connector`.
//!
//! Every effect passes the [`gate`], which refuses an older owner or incarnation in the effect's own critical section.

mod console;
mod disk;
mod effects;
mod files;
pub mod gate;
pub mod image;
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
    node::Node,
    serve::serve,
    start::{StartError, StateLock, bind},
};
