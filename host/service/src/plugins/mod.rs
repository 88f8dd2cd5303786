//! Plugins: whose word they are, what they are granted, and how one version takes another's place.

mod activate;
mod delete;
mod grant;
mod install;
mod load;
mod name;
mod show;
mod trust;

use velum_model::{
    grant::Capabilities,
    id::{ClusterId, StoragePoolId, ZoneId},
    plugin::{Digest, Plugin, PluginUse},
};

pub use load::load_plugin;

/// A component to be installed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewPlugin {
    /// Its bytes; empty with a bundle.
    pub component: Vec<u8>,
    /// The text of its `plugin.toml`; none = a minimal one is derived.
    pub manifest: Option<String>,
    /// A bundle, in place of both.
    pub bundle: Option<Vec<u8>>,
    /// The digest of a component that is to be installed although nobody signed it.
    pub allow_unsigned: Option<Digest>,
    /// What is granted of what it asks for; none = what was granted to the version before.
    pub grant: Option<Capabilities>,
    /// Whether it lay in the operator's own directory: then it is taken as it is, with all that it asks for.
    pub is_operators: bool,
}

/// A plugin, and what uses it.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginDetail {
    /// The plugin.
    pub plugin: Plugin,
    /// What uses it.
    pub used: PluginUse,
}

/// Where a version of a plugin takes the place of others: a whole zone, or a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activating {
    /// The zone, when it is a whole one.
    pub zone: Option<ZoneId>,
    /// Clusters, whose compute hosts go over.
    pub clusters: Vec<ClusterId>,
    /// Storage pools.
    pub storage_pools: Vec<StoragePoolId>,
}

/// What went over to a version.
#[derive(Clone, Debug, PartialEq)]
pub struct Activated {
    /// The version.
    pub plugin: Plugin,
    /// In which zone.
    pub zone: ZoneId,
    /// Compute hosts that changed.
    pub compute_hosts: u64,
    /// Storage pools that changed.
    pub storage_pools: u64,
}
