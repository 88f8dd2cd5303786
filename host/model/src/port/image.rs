//! The port of an image store: where templates are kept. The server streams an upload through it and never opens an
//! image; inspection and conversion happen where the store is.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fault::Fault;

/// What inspection found in an image after it was converted into a private file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InspectedImage {
    /// Format of the private file; see `storage::registry`.
    pub format: u16,
    /// The size that a guest sees.
    pub virtual_bytes: u64,
    /// What it occupies in the store.
    pub stored_bytes: u64,
    /// SHA-256 of the bytes that were uploaded, hexadecimal.
    pub sha256: String,
    /// How the store names the private file; what a mover or provider is told.
    pub reference: String,
}

/// An image store.
#[async_trait]
pub trait ImageStore: Send + Sync {
    /// Whether it works: its directory exists and can be written, its endpoint answers. Answers the free bytes.
    async fn probe(&self) -> Result<u64, Fault>;
    /// Bytes of an unfinished upload that arrived; 0 when there are none.
    async fn received(&self, image: Uuid) -> Result<u64, Fault>;
    /// Appends `chunk` at `offset`; `offset` must be what [`ImageStore::received`] answers. Answers the new length.
    async fn write(&self, image: Uuid, offset: u64, chunk: Vec<u8>) -> Result<u64, Fault>;
    /// Ends an upload: checks the checksum, inspects (default deny; `format` is forced, never probed), converts once.
    /// Idempotent. `BAD_IMAGE` names what is wrong; nothing is kept then.
    async fn finish(&self, image: Uuid, format: u16, sha256: &str) -> Result<InspectedImage, Fault>;
    /// Removes an image, finished or not; done when it never was.
    async fn remove(&self, image: Uuid) -> Result<(), Fault>;
}
