//! Words about plugins, as the model has them.

use velum_model::plugin::World;
use velum_wire::PluginWorld;

/// What a component is.
pub const fn world(world: PluginWorld) -> World {
    match world {
        PluginWorld::PlacementPolicy => World::PlacementPolicy,
        PluginWorld::HypervisorDriver => World::HypervisorDriver,
        PluginWorld::StorageProvider => World::StorageProvider,
    }
}
