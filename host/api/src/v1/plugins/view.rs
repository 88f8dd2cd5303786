//! A plugin as it is shown.

use velum_model::plugin::{Plugin, World};
use velum_wire::{PluginView, PluginWorld};

/// A plugin as it is shown.
pub fn view(plugin: &Plugin) -> PluginView {
    let manifest = &plugin.manifest;
    PluginView {
        id: plugin.id.uuid(),
        digest: plugin.digest.to_string(),
        name: manifest.name.to_string(),
        version: manifest.version.clone(),
        world: match manifest.world {
            World::PlacementPolicy => PluginWorld::PlacementPolicy,
            World::HypervisorDriver => PluginWorld::HypervisorDriver,
            World::StorageProvider => PluginWorld::StorageProvider,
        },
        description: manifest.description.clone(),
        capabilities: manifest.capabilities.clone(),
        config_schema: manifest.config.clone(),
        target_schema: manifest.target.clone(),
        imports: plugin.imports.clone(),
        exports: plugin.exports.clone(),
        size_bytes: plugin.size_bytes,
        created_at: plugin.created_at.to_string(),
    }
}
