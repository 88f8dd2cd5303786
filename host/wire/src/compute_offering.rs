//! Compute offerings: shapes of instances.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A shape of instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComputeOfferingView {
    /// Its id.
    pub id: Uuid,
    /// Unique.
    pub name: String,
    /// vCPUs.
    pub vcpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Countable resources of the compute host that an instance has for itself, by name.
    #[serde(default)]
    pub resources: BTreeMap<String, u64>,
    /// Tags that a compute host must have, all of them.
    pub host_tags: Vec<String>,
    /// Tags that the pool of the root volume must have.
    pub storage_tags: Vec<String>,
    /// Policy in place of the zone's.
    pub policy_id: Option<Uuid>,
    /// How long instances are expected to run that do not say it themselves, seconds; null = nobody says.
    pub expected_lifetime_s: Option<u64>,
    /// Grows with every change; the ETag.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A compute offering to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateComputeOfferingBody {
    /// Unique.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// vCPUs.
    #[schema(minimum = 1, maximum = 4096)]
    pub vcpus: u64,
    /// Memory, MiB.
    #[schema(minimum = 16, maximum = 16777216)]
    pub memory_mib: u64,
    /// Countable resources of the compute host that an instance has for itself, at most 8: only compute hosts with as much free take it.
    #[serde(default)]
    #[schema(example = json!({"gpu": 1}))]
    pub resources: BTreeMap<String, u64>,
    /// Tags that a compute host must have, all of them.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub host_tags: Vec<String>,
    /// Tags that the pool of the root volume must have.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub storage_tags: Vec<String>,
    /// Policy in place of the zone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_id: Option<Uuid>,
    /// How long instances are expected to run that do not say it themselves, seconds: a minute to ten years. Policies of placement may use it; nothing ends by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 315360000)]
    pub expected_lifetime_s: Option<u64>,
}

/// What is to change of a compute offering; what is absent stays. Its shape stays: instances were promised it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateComputeOfferingBody {
    /// Unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: Option<String>,
    /// Replaces the tags that a compute host must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 64)]
    pub host_tags: Option<Vec<String>>,
    /// Replaces the tags that the pool of the root volume must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 64)]
    pub storage_tags: Option<Vec<String>>,
    /// Policy in place of the zone's; null returns to the zone's.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::patch")]
    #[schema(value_type = Option<Uuid>)]
    pub policy_id: Option<Option<Uuid>>,
    /// How long instances to come are expected to run that do not say it themselves, seconds; null = nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::patch")]
    #[schema(value_type = Option<u64>, minimum = 60, maximum = 315360000)]
    pub expected_lifetime_s: Option<Option<u64>>,
}
