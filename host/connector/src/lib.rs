//! What a plugin can be granted of the world outside: libvirt and image files on a node, and HTTP origins.
//!
//! `libvirt` and `files` become plain messages ([`message`]) to `velum-node`, sent by a [`node::NodeClient`]; so do the
//! server's own orders of a node (links, seeds, image layers, consoles). `http` ([`http`]) is done here, in the server.
//! [`Connections`] finds each of them by its address.

mod connections;
pub mod credential;
pub mod http;
mod image;
pub mod message;
pub mod node;
pub mod tls;

pub use connections::Connections;
pub use image::{DirectoryStore, HttpStore};
pub use node::{FilesGrant, LibvirtGrant, NodeClient, Warrant};
