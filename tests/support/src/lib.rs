//! The harness that the suites stand on: a whole cloud of real processes against a simulated far side, which can be
//! killed, frozen and started again, and which proves at the end that nothing is left behind. [`RealCloud`] is the same
//! on the libvirt of this machine.

pub mod array;
mod chance;
mod checks;
mod cloud;
mod ground;
mod hypervisor;
mod postgres;
pub mod power;
mod process;
mod real;
mod relay;
mod report;
mod server;
mod servers;
mod traces;
mod virsh;
mod world;

pub use chance::Chance;
pub use checks::{assert_books_empty, destroy_all, run_until_idle};
pub use cloud::{CloudOptions, TestCloud};
pub use ground::{ArrayPool, FlawedGround, Ground, Image, RealGround};
pub use hypervisor::{Libvirtd, kill_guest};
pub use postgres::Postgres;
pub use process::{Process, program};
pub use real::{RealCloud, RealOptions};
pub use relay::{Held, Relay};
pub use report::{Aim, Report};
pub use server::{build_plugins, first_party};
pub use servers::{Cut, Held as HeldShard, Servers, ServersOptions};
pub use traces::Traces;
pub use virsh::Domain;
pub use world::{World, WorldOptions};
