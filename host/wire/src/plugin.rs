//! Plugins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PluginWorld {
    /// Ranks compute hosts or storage pools.
    PlacementPolicy,
    /// Drives guests on compute hosts.
    HypervisorDriver,
    /// Drives volumes on a storage pool.
    StorageProvider,
}

/// Whose word a plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PluginOrigin {
    /// It lay in the server's own plugins directory: the operator's.
    Directory,
    /// Nobody signed it; an administrator let it in.
    Unsigned,
    /// A publisher's.
    Signed,
}

/// Where an installed plugin is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PluginState {
    /// Nothing uses it.
    Installed,
    /// Compute hosts, storage pools or policies use it.
    Active,
    /// Another version took its place; operations in flight keep it until they end.
    Draining,
    /// A shadow tries it, and nothing else uses it.
    Shadow,
}

/// What uses a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginUseView {
    /// Zones in which it is the active version of its name.
    pub zone_ids: Vec<Uuid>,
    /// Compute hosts that it drives.
    pub compute_hosts: u64,
    /// Storage pools that it drives.
    pub storage_pools: u64,
    /// Policies that are made of it.
    pub policies: u64,
    /// Shadows that try it.
    pub shadows: u64,
    /// Operations that were accepted before another version took its place: at most so many keep it until they end.
    pub operations: u64,
}

/// An installed plugin: one digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginView {
    /// Its id.
    pub id: Uuid,
    /// What it is made of: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is.
    pub world: PluginWorld,
    /// One line for people.
    pub description: String,
    /// Connectors it asks for.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub capabilities: BTreeMap<String, Value>,
    /// What it was granted of them.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub granted: BTreeMap<String, Value>,
    /// Where it is in its life.
    pub state: PluginState,
    /// What uses it.
    pub used_by: PluginUseView,
    /// Whose word it is.
    pub origin: PluginOrigin,
    /// The publisher who signed it.
    pub publisher: Option<String>,
    /// The key that it is signed with.
    pub key_id: Option<String>,
    /// When that key was revoked: what runs goes on, and it is not activated any more.
    #[schema(format = DateTime)]
    pub key_revoked_at: Option<String>,
    /// Who let it in although nobody signed it.
    pub allowed_by: Option<String>,
    /// JSON Schema of a policy's configuration.
    #[schema(value_type = Option<Object>)]
    pub config_schema: Option<Value>,
    /// JSON Schema of the settings of a compute host or pool.
    #[schema(value_type = Option<Object>)]
    pub target_schema: Option<Value>,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// Interfaces that it exports.
    pub exports: Vec<String>,
    /// Size of the component, bytes.
    pub size_bytes: u64,
    /// When it was installed.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A plugin to install: a component, or a bundle. A component that nobody signed may as well be sent alone, as
/// `application/wasm`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallPluginBody {
    /// The component, base64. Instead of `bundle_base64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_base64: Option<String>,
    /// The text of the component's `plugin.toml`; without one, a minimal manifest is derived from the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// A bundle, base64: what `velum plugin pack` makes. Instead of `component_base64` and `manifest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_base64: Option<String>,
    /// The digest of the component, when it is to be installed although nobody signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    pub allow_unsigned: Option<String>,
    /// What it is granted of what it asks for, in the form of `[capabilities]` of `plugin.toml`; may be less than that.
    /// Without it a version gets what the one before was granted, as long as it asks for nothing new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Object>>)]
    pub grant: Option<BTreeMap<String, Value>>,
}

/// Where a version of a driver or provider takes the place of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivatePluginBody {
    /// The zone.
    pub zone_id: Uuid,
    /// Only the compute hosts of these clusters; new ones still get what the zone has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub cluster_ids: Vec<Uuid>,
    /// Only these storage pools; new ones still get what the zone has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub storage_pool_ids: Vec<Uuid>,
}

/// Where the version before is to take the place of this one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackPluginBody {
    /// The zone.
    pub zone_id: Uuid,
}

/// A version that took the place of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActivationView {
    /// Which plugin.
    pub plugin_id: Uuid,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is made of.
    pub digest: String,
    /// In which zone.
    pub zone_id: Uuid,
    /// Compute hosts that went over.
    pub compute_hosts: u64,
    /// Storage pools that went over.
    pub storage_pools: u64,
}

/// What a plugin did on the server that answers since that started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginStatsView {
    /// What it is made of.
    pub digest: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether that server has loaded it; the rest is 0 otherwise.
    pub is_loaded: bool,
    /// Calls into it.
    pub calls: u64,
    /// Calls that ended in a fault or failure of any kind.
    pub failures: u64,
    /// Of these, traps.
    pub traps: u64,
    /// Of these, deadlines and fuel.
    pub deadlines: u64,
    /// Host calls that its grant did not allow.
    pub denials: u64,
    /// Fuel used (policies).
    pub fuel: u64,
    /// Time in calls, microseconds.
    pub micros: u64,
    /// Starts of its process (drivers and providers): more than one says that it died.
    pub starts: u64,
    /// Times that its breaker opened: it failed several times in a row.
    pub breaks: u64,
    /// For how many milliseconds more its calls are refused by the breaker; `null`: they are made.
    pub refused_for_ms: Option<u64>,
}
