//! Domain XML: a closed model of what a driver may write, its comparison with the order, and our own text of it.
//!
//! A driver's text is parsed into [`element::Element`]s, each of which the [`model`] must know with every attribute and
//! text that it has; what it means is compared with what the driver was ordered to make ([`order`]); then the node
//! writes its own text. Nothing of the driver's text reaches libvirt but values that passed both.

pub mod element;
mod model;
pub mod order;
pub mod view;

pub use element::Element;

/// Attributes of a source that say where a device lies: a path, a bridge, a network, a unit.
const SOURCES: [&str; 5] = ["file", "dev", "bridge", "network", "name"];

/// Name space of our owner tag in a domain's metadata.
pub const TAG_NAMESPACE: &str = "urn:velum:run:1";
