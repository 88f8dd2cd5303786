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

/// A plugin to install. The component may as well be sent alone, as `application/wasm`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallPluginBody {
    /// The component, base64.
    pub component_base64: String,
    /// The text of its `plugin.toml`; without one, a minimal manifest is derived from the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
}
