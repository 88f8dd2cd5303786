//! The nouns of Velum and their rules: identifiers, quantities, states with named transitions, and the ports through
//! which the rest of the server reaches plugins and nodes.
//!
//! Nothing here does I/O. Time, chance and identifiers come in through [`time::Clock`] and [`chance::Ids`].

pub mod affinity;
pub mod chance;
pub mod decision;
pub mod enrolment;
pub mod fault;
pub mod grant;
pub mod id;
pub mod infrastructure;
pub mod instance;
pub mod iscsi;
pub mod name;
pub mod net;
pub mod operation;
pub mod orphan;
pub mod page;
pub mod plugin;
pub mod port;
pub mod quantity;
pub mod resource;
pub mod shadow;
pub mod storage;
pub mod tenancy;
pub mod time;
pub mod trust;

pub use id::*;
pub use name::Name;
pub use time::Timestamp;
