//! Pods.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A rack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PodView {
    /// Its id.
    pub id: Uuid,
    /// Its zone.
    pub zone_id: Uuid,
    /// Unique in the zone.
    pub name: String,
    /// Its management network.
    pub cidr: String,
    /// Gateway of the management network.
    pub gateway: String,
    /// The project that it is kept for; null = no one's.
    #[serde(default)]
    pub dedicated_to: Option<Uuid>,
    /// Grows with every change; the ETag.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A pod to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePodBody {
    /// Its zone.
    pub zone_id: Uuid,
    /// Unique in the zone.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// Its management network; no two pods of a zone overlap.
    #[schema(example = "10.1.0.0/24")]
    pub cidr: String,
    /// Gateway of the management network, inside it.
    #[schema(format = Ipv4, example = "10.1.0.1")]
    pub gateway: String,
}

/// What is to change of a pod; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdatePodBody {
    /// Unique in the zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: Option<String>,
    /// The project that it is kept for from now on, unless a cluster or compute host of it is for another: others get no new guests there, what runs there stays. null = no one's.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::patch")]
    #[schema(value_type = Option<Uuid>)]
    pub dedicated_to: Option<Option<Uuid>>,
}
