//! Image stores: secondary storage.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Where an image store keeps its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImageStoreKind {
    /// In a directory of a node.
    Directory,
    /// Behind an HTTP endpoint.
    Http,
}

/// Where a zone's templates are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageStoreView {
    /// Its id.
    pub id: Uuid,
    /// Its zone.
    pub zone_id: Uuid,
    /// Unique in the zone.
    pub name: String,
    /// Where it keeps its images.
    pub kind: ImageStoreKind,
    /// Address of the node daemon, for a directory.
    pub node: Option<String>,
    /// The directory there.
    pub directory: Option<String>,
    /// Origin and base path, for HTTP.
    pub endpoint: Option<String>,
    /// Grows with every change; the ETag.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// An image store to register: either `node` and `directory`, or `endpoint`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateImageStoreBody {
    /// Its zone.
    pub zone_id: Uuid,
    /// Unique in the zone.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// Address of the node daemon, for a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "unix:/run/velum/node.sock", max_length = 1024)]
    pub node: Option<String>,
    /// The directory there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/var/lib/velum/images", max_length = 1024)]
    pub directory: Option<String>,
    /// Origin and base path, for HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "http://127.0.0.1:7001", max_length = 1024)]
    pub endpoint: Option<String>,
}
