//! The harness that the suites stand on: a whole cloud of real processes against a simulated far side, which can be
//! killed, frozen and started again, and which proves at the end that nothing is left behind.

mod checks;
mod cloud;
mod process;
mod report;
mod world;

pub use cloud::{CloudOptions, TestCloud, first_party};
pub use process::{Process, program};
pub use report::{Aim, Report};
pub use world::{World, WorldOptions};
