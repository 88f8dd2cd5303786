//! Zones.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Who may use a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ZoneAccess {
    /// Everyone.
    #[default]
    Public,
    /// One project.
    Private,
}

/// A data centre.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ZoneView {
    /// Its id.
    pub id: Uuid,
    /// Unique.
    pub name: String,
    /// Who may use it.
    pub access: ZoneAccess,
    /// The project that it is private to.
    pub project_id: Option<Uuid>,
    /// Policy that ranks compute hosts; null is the built-in one.
    pub policy_id: Option<Uuid>,
    /// Policy that ranks storage pools; null is the built-in one.
    pub pool_policy_id: Option<Uuid>,
    /// Grows with every change; the ETag.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A zone to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateZoneBody {
    /// Unique.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// Who may use it; public unless said otherwise.
    #[serde(default)]
    #[schema(inline)]
    pub access: ZoneAccess,
    /// The project that a private zone is for; the caller's own unless named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<Uuid>,
    /// Policy that ranks compute hosts; the built-in one unless named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_id: Option<Uuid>,
    /// Policy that ranks storage pools; the built-in one unless named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_policy_id: Option<Uuid>,
}

/// What is to change of a zone; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateZoneBody {
    /// Unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: Option<String>,
    /// Who may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<ZoneAccess>,
    /// The project that a private zone is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<Uuid>,
    /// Policy that ranks compute hosts; null returns to the built-in one.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::patch")]
    #[schema(value_type = Option<Uuid>)]
    pub policy_id: Option<Option<Uuid>>,
    /// Policy that ranks storage pools; null returns to the built-in one.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::patch")]
    #[schema(value_type = Option<Uuid>)]
    pub pool_policy_id: Option<Option<Uuid>>,
}
