//! A plugin on its way: component, `plugin.toml` and conformance result as an OCI image, with signatures beside it.
//!
//! Bytes in, bytes out: nothing here reads a file, asks a registry, draws chance or knows the time.
//!
//! - [`Bundle`] is the whole thing in memory. [`Bundle::pack`] makes one out of its parts, [`Bundle::from_tar`] reads what
//!   lies in a `NAME-VERSION.velum` (an OCI image layout as a tar), [`Bundle::assemble`] what came from a registry or a
//!   layout directory. Whatever way it came, every digest was computed again and every size was bounded before it was
//!   believed.
//! - [`SigningKey`] signs, [`Bundle::verify`] says whose word a bundle is, or why it is nobody's ([`Untrusted`]). What is
//!   signed is a [`Statement`]: publisher, name, version, world, and the digests of manifest and component; its envelope
//!   is a DSSE one, so that what was signed is told by the bytes themselves.
//! - [`Index`] is the list of what lies in a layout, and [`media`] holds the types and tags by which a registry knows us.

mod about;
mod bundle;
mod descriptor;
mod envelope;
mod error;
mod index;
mod key;
mod limits;
pub mod media;
mod pem;
mod signature;
mod statement;
mod tar;
mod trust;

pub use about::About;
pub use bundle::{Blob, Bundle, Parts};
pub use descriptor::{Descriptor, ImageManifest};
pub use error::BundleError;
pub use index::{Entry, Index, layout_marker};
pub use key::{KeyError, PublicKey, SigningKey};
pub use limits::Limits;
pub use statement::Statement;
pub use trust::{TrustedKey, Untrusted, Verified};

// What stands in this crate's own types, for those who know no other crate of the server.
pub use velum_model::{
    name::Name,
    plugin::{Digest, World},
};

use sha2::{Digest as _, Sha256};

/// The SHA-256 of some bytes, as everything here names them.
#[must_use]
pub fn digest(bytes: &[u8]) -> Digest {
    // 32 bytes in hexadecimal always make a digest; the other branch cannot be reached and is still an answer that fits
    // nothing.
    Digest::from_hex(&hex::encode(Sha256::digest(bytes))).unwrap_or_default()
}
