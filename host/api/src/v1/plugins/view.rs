//! A plugin as it is shown.

use velum_model::{
    plugin::{PluginState, World},
    port::plugins::PluginStats,
    trust::Origin,
};
use velum_service::{Activated, PluginDetail};
use velum_wire::{ActivationView, PluginOrigin, PluginStatsView, PluginUseView, PluginView, PluginWorld};

/// A plugin as it is shown.
pub fn view(detail: &PluginDetail) -> PluginView {
    let PluginDetail { plugin, used } = detail;
    let manifest = &plugin.manifest;
    let (origin, signature, allowed_by) = match &plugin.origin {
        Origin::Directory => (PluginOrigin::Directory, None, None),
        Origin::Unsigned { allowed_by } => {
            let by = Some(allowed_by.clone()).filter(|by| !by.is_empty());
            (PluginOrigin::Unsigned, None, by)
        }
        Origin::Signed(signature) => (PluginOrigin::Signed, Some(signature), None),
    };
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
        granted: plugin.grant.clone(),
        state: match used.state() {
            PluginState::Installed => velum_wire::PluginState::Installed,
            PluginState::Active => velum_wire::PluginState::Active,
            PluginState::Draining => velum_wire::PluginState::Draining,
            PluginState::Shadow => velum_wire::PluginState::Shadow,
        },
        used_by: PluginUseView {
            zone_ids: used.zones.iter().map(|zone| zone.uuid()).collect(),
            compute_hosts: used.compute_hosts,
            storage_pools: used.storage_pools,
            policies: used.policies,
            shadows: used.shadows,
            operations: used.operations,
        },
        origin,
        publisher: signature.map(|signature| signature.publisher_name.to_string()),
        key_id: signature.map(|signature| signature.key_id.clone()),
        key_revoked_at: signature.and_then(|signature| Some(signature.revoked_at?.to_string())),
        allowed_by,
        config_schema: manifest.config.clone(),
        target_schema: manifest.target.clone(),
        imports: plugin.imports.clone(),
        exports: plugin.exports.clone(),
        size_bytes: plugin.size_bytes,
        created_at: plugin.created_at.to_string(),
    }
}

/// A version that took the place of others.
pub fn activated(done: &Activated) -> ActivationView {
    ActivationView {
        plugin_id: done.plugin.id.uuid(),
        name: done.plugin.manifest.name.to_string(),
        version: done.plugin.manifest.version.clone(),
        digest: done.plugin.digest.to_string(),
        zone_id: done.zone.uuid(),
        compute_hosts: done.compute_hosts,
        storage_pools: done.storage_pools,
    }
}

/// What a plugin did.
pub fn stats(plugin: &velum_model::plugin::Plugin, stats: Option<PluginStats>) -> PluginStatsView {
    let is_loaded = stats.is_some();
    let stats = stats.unwrap_or_default();
    PluginStatsView {
        digest: plugin.digest.to_string(),
        name: plugin.manifest.name.to_string(),
        version: plugin.manifest.version.clone(),
        is_loaded,
        calls: stats.calls,
        failures: stats.failures,
        traps: stats.traps,
        deadlines: stats.deadlines,
        denials: stats.denials,
        fuel: stats.fuel,
        micros: stats.micros,
        starts: stats.starts,
        breaks: stats.breaks,
        refused_for_ms: stats.refused_for_ms,
    }
}
