//! Request and answer types of the API, shared with its client and nothing else.
//!
//! `…Body` travels in, `…View` travels out. A body refuses unknown fields, so that a misspelled one is not silently
//! ignored; a view does not, so that an older client reads a newer server. Names are snake_case and carry their units;
//! instants are RFC 3339 in UTC; ids are UUIDs. What may be named and how much of it is checked at the server's border,
//! not here: the bounds in the schemas only document it.

pub mod affinity_group;
pub mod cluster;
pub mod compute_host;
pub mod compute_offering;
pub mod decision;
pub mod disk_offering;
pub mod event;
pub mod image_store;
pub mod instance;
pub mod ip_address;
pub mod ip_range;
pub mod network;
pub mod network_offering;
pub mod nic;
pub mod node;
pub mod operation;
pub mod orphan;
pub mod page;
pub mod patch;
pub mod plugin;
pub mod pod;
pub mod policy;
pub mod problem;
pub mod publisher;
pub mod storage_pool;
pub mod template;
pub mod volume;
pub mod zone;

pub use affinity_group::*;
pub use cluster::*;
pub use compute_host::*;
pub use compute_offering::*;
pub use decision::*;
pub use disk_offering::*;
pub use event::*;
pub use image_store::*;
pub use instance::*;
pub use ip_address::*;
pub use ip_range::*;
pub use network::*;
pub use network_offering::*;
pub use nic::*;
pub use node::*;
pub use operation::*;
pub use orphan::*;
pub use page::*;
pub use plugin::*;
pub use pod::*;
pub use policy::*;
pub use problem::*;
pub use publisher::*;
pub use storage_pool::*;
pub use template::*;
pub use volume::*;
pub use zone::*;
