//! Templates.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Formats that a template may have. Always as said, never guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImageFormat {
    /// The bytes of the disk.
    Raw,
    /// QEMU's format, without backing or data file.
    #[default]
    Qcow2,
}

/// Where a template is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TemplateState {
    /// Bytes are still awaited.
    Uploading,
    /// An operation checks and converts it.
    Registering,
    /// It can be used.
    Ready,
    /// It was refused; `failure` names what is wrong with the image.
    Failed,
    /// An operation removes it.
    Deleting,
}

/// An image that root volumes are cloned from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemplateView {
    /// Its id.
    pub id: Uuid,
    /// Its zone.
    pub zone_id: Uuid,
    /// Its owner.
    pub project_id: Uuid,
    /// Its image store.
    pub image_store_id: Uuid,
    /// Unique in its project and zone.
    pub name: String,
    /// The format of the upload.
    pub format: ImageFormat,
    /// The length of the upload, bytes.
    pub upload_bytes: u64,
    /// Bytes that arrived: the offset at which an upload goes on.
    pub received_bytes: u64,
    /// SHA-256 of the upload, hexadecimal, as promised.
    pub sha256: String,
    /// Where it is in its life.
    pub state: TemplateState,
    /// What is wrong with the image, when it was refused.
    pub failure: Option<String>,
    /// The size that a guest sees, bytes; known when ready.
    pub virtual_bytes: Option<u64>,
    /// Grows with every change; the ETag.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A template to register; its bytes are uploaded afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTemplateBody {
    /// Its zone.
    pub zone_id: Uuid,
    /// Its image store; the zone's only one unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_store_id: Option<Uuid>,
    /// Unique in its project and zone.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// The format of the upload.
    pub format: ImageFormat,
    /// The length of the upload, bytes.
    #[schema(minimum = 1, maximum = 1125899906842624_u64)]
    pub upload_bytes: u64,
    /// SHA-256 of the upload: 64 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
}

/// How far an upload is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadView {
    /// The template.
    pub template_id: Uuid,
    /// Bytes that arrived: the offset of the next chunk.
    pub received_bytes: u64,
    /// The length of the upload, bytes.
    pub upload_bytes: u64,
    /// Whether all bytes are there; then an operation checks the image.
    pub complete: bool,
}
