//! The API: takes requests, makes one call of a use case, words the answer. Conventions are in this folder's README.

mod answer;
mod auth;
mod docs;
mod error;
mod forward;
mod health;
mod openapi;
mod problem;
mod queries;
mod router;
mod state;
mod take;
mod trace;
mod v1;

pub use forward::Peers;
pub use openapi::openapi;
pub use problem::Kind;
pub use router::router;
pub use state::{ApiState, Bounds};
