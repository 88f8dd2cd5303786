//! Disk offerings: shapes of volumes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A shape of volumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskOfferingView {
    /// Its id.
    pub id: Uuid,
    /// Unique.
    pub name: String,
    /// Size, bytes; null: whoever makes the volume says it.
    pub size_bytes: Option<u64>,
    /// Tags that the pool must have.
    pub storage_tags: Vec<String>,
    /// Grows with every change; the ETag.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A disk offering to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDiskOfferingBody {
    /// Unique.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// Size, bytes; without one, whoever makes the volume says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1125899906842624_u64)]
    pub size_bytes: Option<u64>,
    /// Tags that the pool must have.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub storage_tags: Vec<String>,
}

/// What is to change of a disk offering; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateDiskOfferingBody {
    /// Unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: Option<String>,
    /// Replaces the tags that the pool must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 64)]
    pub storage_tags: Option<Vec<String>>,
}
