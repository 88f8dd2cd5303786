//! Clusters.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Compute hosts alike in hypervisor, hardware and subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterView {
    /// Its id.
    pub id: Uuid,
    /// Its zone.
    pub zone_id: Uuid,
    /// Its pod.
    pub pod_id: Uuid,
    /// Unique in the pod.
    pub name: String,
    /// Name of the hypervisor driver's plugin.
    pub driver: String,
    /// How many vCPUs may be promised for each that is there, in thousandths.
    pub cpu_overcommit_permille: u32,
    /// How much memory may be promised for what is there, in thousandths.
    pub memory_overcommit_permille: u32,
    /// The project that it is kept for; null = as its pod.
    #[serde(default)]
    pub dedicated_to: Option<Uuid>,
    /// Grows with every change; the ETag.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A cluster to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateClusterBody {
    /// Its pod.
    pub pod_id: Uuid,
    /// Unique in the pod.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// Name of the hypervisor driver's plugin; its newest installed version is used by new compute hosts.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", example = "hypervisor-libvirt")]
    pub driver: String,
    /// How many vCPUs may be promised for each that is there, in thousandths; 1000 (no more than is there) unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1000, maximum = 20000)]
    pub cpu_overcommit_permille: Option<u64>,
    /// How much memory may be promised for what is there, in thousandths; 1000 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1000, maximum = 20000)]
    pub memory_overcommit_permille: Option<u64>,
}

/// What is to change of a cluster; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateClusterBody {
    /// Unique in the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: Option<String>,
    /// How many vCPUs may be promised for each that is there, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1000, maximum = 20000)]
    pub cpu_overcommit_permille: Option<u64>,
    /// How much memory may be promised for what is there, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1000, maximum = 20000)]
    pub memory_overcommit_permille: Option<u64>,
    /// The project that it is kept for from now on: others get no new guests there, what runs there stays. null = as its pod.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::patch")]
    #[schema(value_type = Option<Uuid>)]
    pub dedicated_to: Option<Option<Uuid>>,
}
