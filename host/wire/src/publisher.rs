//! Publishers of plugins, and their keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Who makes plugins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublisherView {
    /// Its id.
    pub id: Uuid,
    /// Its name, as its signatures spell it.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Grows with every change; the ETag.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A publisher to make. Nothing is trusted by that: its keys are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePublisherBody {
    /// Its name, as its signatures spell it. Unique; it never changes.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", example = "acme")]
    pub name: String,
    /// One line for people.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub description: String,
}

/// What is to change of a publisher; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdatePublisherBody {
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub description: Option<String>,
}

/// A key that a publisher signs with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublisherKeyView {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub publisher_id: Uuid,
    /// What signatures call it: the digest of the key.
    pub key_id: String,
    /// The public key, PEM.
    pub public_key: String,
    /// Who added it.
    pub added_by: String,
    /// When it was added.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was revoked: nothing that it signed is installed or activated any more.
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
    /// Who revoked it.
    pub revoked_by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// A key to trust as a publisher's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddPublisherKeyBody {
    /// The public key, ed25519, PEM: what `velum plugin keygen` or OpenSSL writes.
    #[schema(max_length = 4096)]
    pub public_key: String,
}

/// A key to trust no more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokePublisherKeyBody {
    /// Which: its `key_id` or its id.
    #[schema(max_length = 128)]
    pub key_id: String,
    /// What happened to it: stands with every plugin that it signed.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}
