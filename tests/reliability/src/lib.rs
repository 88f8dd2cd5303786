//! The use cases, the engine and the store of a server, real, against a far side in memory, in simulated time. What goes
//! wrong between them is decided by a [`wire::Director`]: every fault at every step (`crash-matrix`), or chance from a seed
//! (`simulate`).
//!
//! ```text
//!   ask ──▶ Services ──commit──▶ Store (a file, one call at a time)
//!                                  ▲
//!           Engine ──checkpoint────┘      the director kills, freezes, thaws a server here …
//!              │
//!              └──▶ Ports ──wire──▶ FarSide (gates)      … and loses, repeats, delays calls here
//! ```

pub mod audit;
pub mod far;
pub mod ground;
pub mod leave;
pub mod life;
pub mod matrix;
pub mod run;
pub mod server;
pub mod simulation;
pub mod wire;
pub mod workers;
