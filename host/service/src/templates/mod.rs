//! Templates: registered, uploaded in pieces, checked by an operation.

mod create;
mod delete;
mod upload;

use velum_model::{
    Name,
    id::{ImageStoreId, OperationId, ZoneId},
    quantity::Bytes,
    storage::{ImageFormat, Template},
};

/// A template to be made. Its bytes come afterwards: [`crate::Services::template_write`].
#[derive(Clone, Debug, PartialEq)]
pub struct NewTemplate {
    /// Its zone.
    pub zone: ZoneId,
    /// Its image store; none = the zone's only one.
    pub image_store: Option<ImageStoreId>,
    /// Unique in its project and zone.
    pub name: Name,
    /// The format of the upload; forced, never probed.
    pub format: ImageFormat,
    /// The length of the upload.
    pub upload_bytes: Bytes,
    /// SHA-256 of the upload: 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// How far an upload is.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    /// The template as it is now.
    pub template: Template,
    /// The operation that checks it, once all bytes are there.
    pub operation: Option<OperationId>,
}

/// The most that one piece of an upload may hold: it lies in memory twice on its way to the store.
pub const CHUNK_MAX: usize = 8 << 20;
