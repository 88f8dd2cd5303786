//! Primary storage pools.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::compute_host::{Intent, SettableIntent};

/// Which compute hosts reach a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PoolScope {
    /// Those of its zone.
    Zone,
    /// Those of one cluster.
    Cluster,
    /// One.
    ComputeHost,
}

/// Primary storage: where volumes live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StoragePoolView {
    /// Its id.
    pub id: Uuid,
    /// Its zone.
    pub zone_id: Uuid,
    /// Which compute hosts reach it.
    pub scope: PoolScope,
    /// The cluster, when the scope is one.
    pub cluster_id: Option<Uuid>,
    /// The compute host, when the scope is one.
    pub compute_host_id: Option<Uuid>,
    /// Unique in the zone.
    pub name: String,
    /// Digest of the provider in use.
    pub provider_digest: String,
    /// Settings of the provider for this pool.
    #[schema(value_type = Object)]
    pub config: Value,
    /// Address of the node daemon that works on its files; null where there is none.
    pub node: Option<String>,
    /// Origin of its HTTP API, for providers of such.
    pub endpoint: Option<String>,
    /// Where the server finds the credential for it; the credential itself is shown nowhere.
    #[serde(default)]
    pub credential: Option<String>,
    /// What it holds, bytes.
    pub capacity_bytes: u64,
    /// Bytes that may be promised.
    pub ceiling_bytes: u64,
    /// Bytes promised.
    pub used_bytes: u64,
    /// Tags that offerings may ask for.
    pub tags: Vec<String>,
    /// Numeric attributes that policies may ask for.
    pub attributes: BTreeMap<String, u32>,
    /// What the provider can do for it, as probed.
    pub abilities: PoolAbilitiesView,
    /// What the operator wants.
    pub intent: Intent,
    /// Grows with every change; the ETag.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// What a provider can do for a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolAbilitiesView {
    /// Kinds of volume attachments, as codes of the storage contract.
    pub attachment_kinds: Vec<u16>,
    /// Formats it keeps, as codes of the storage contract.
    pub formats: Vec<u16>,
    /// Features, as codes of the storage contract.
    pub features: Vec<u16>,
    /// Sizes are multiples of this, bytes.
    pub granularity_bytes: u64,
    /// The smallest volume, bytes.
    pub min_bytes: u64,
    /// The largest volume, bytes.
    pub max_bytes: u64,
}

/// A pool to register. With `cluster_id` only the compute hosts of that cluster reach it, with `compute_host_id` only
/// that one, with neither all of the zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateStoragePoolBody {
    /// Its zone.
    pub zone_id: Uuid,
    /// The only cluster that reaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<Uuid>,
    /// The only compute host that reaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_host_id: Option<Uuid>,
    /// Unique in the zone.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// Name of the storage provider's plugin; its newest installed version is used.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", example = "storage-dir")]
    pub provider: String,
    /// Settings of the provider for this pool, checked against the plugin's schema.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"directory": "/var/lib/velum/pool"}))]
    pub config: Value,
    /// Address of the node daemon that works on its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "unix:/run/velum/node.sock", max_length = 1024)]
    pub node: Option<String>,
    /// Origin of its HTTP API, for providers of such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "http://127.0.0.1:7001", max_length = 1024)]
    pub endpoint: Option<String>,
    /// File on the server with the credential that requests to the endpoint carry: one line, `bearer TOKEN`,
    /// `basic USER:PASSWORD` or `header NAME VALUE`, readable by the server alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        example = "file:/etc/velum/array.token",
        pattern = "^file:/",
        max_length = 1024
    )]
    pub credential: Option<String>,
    /// What it may hold, bytes; what the provider finds there unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1125899906842624_u64)]
    pub capacity_bytes: Option<u64>,
    /// Tags that offerings may ask for.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub tags: Vec<String>,
    /// Numeric attributes that policies may ask for.
    #[serde(default)]
    pub attributes: BTreeMap<String, u32>,
}

/// What is to change of a pool; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateStoragePoolBody {
    /// Unique in the zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: Option<String>,
    /// What it may hold, bytes. Below what is promised, nothing is taken away: the ceiling follows as volumes go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1125899906842624_u64)]
    pub capacity_bytes: Option<u64>,
    /// Replaces the tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 64)]
    pub tags: Option<Vec<String>>,
    /// Replaces the attributes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, u32>>,
    /// Whether it takes new volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<SettableIntent>,
}
