//! A simulated far side: compute hosts with their runs, storage arrays, an image store, behind a real HTTP API.
//!
//! It depends on no other crate of ours, so that a misunderstanding in the server is not repeated here. `README.md` beside
//! this crate is the contract. One mutex guards the whole [`world::World`]: an effect's critical section is the lock, and the gate
//! (highest epoch and generation seen) is asked inside it.

pub mod compute;
pub mod effects;
pub mod faults;
pub mod gate;
pub mod image;
pub mod keep;
pub mod listen;
pub mod publication;
pub mod refusal;
pub mod routes;
pub mod serve;
pub mod storage;
pub mod verb;
pub mod work;
pub mod world;

pub use routes::app;
pub use serve::Sim;
