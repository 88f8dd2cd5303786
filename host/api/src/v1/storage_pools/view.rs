//! A storage pool as it is shown.

use velum_model::infrastructure::{PoolScope, StoragePool};
use velum_wire::{PoolAbilitiesView, StoragePoolView};

use crate::v1::compute_hosts::view::{attributes, intent, texts};

/// A storage pool as it is shown.
pub fn view(pool: &StoragePool) -> StoragePoolView {
    let (scope, cluster_id, compute_host_id) = match pool.scope {
        PoolScope::Zone => (velum_wire::PoolScope::Zone, None, None),
        PoolScope::Cluster(id) => (velum_wire::PoolScope::Cluster, Some(id.uuid()), None),
        PoolScope::ComputeHost(id) => (velum_wire::PoolScope::ComputeHost, None, Some(id.uuid())),
    };
    let abilities = &pool.abilities;
    StoragePoolView {
        id: pool.id.uuid(),
        zone_id: pool.zone.uuid(),
        scope,
        cluster_id,
        compute_host_id,
        name: pool.name.to_string(),
        provider_digest: pool.provider.to_string(),
        config: pool.config.clone(),
        node: pool.node.clone(),
        endpoint: pool.endpoint.clone(),
        credential: pool.credential.clone(),
        capacity_bytes: pool.capacity.get(),
        ceiling_bytes: pool.bytes_ceiling,
        used_bytes: pool.bytes_used,
        tags: texts(&pool.tags),
        attributes: attributes(&pool.attributes),
        abilities: PoolAbilitiesView {
            attachment_kinds: abilities.attachment_kinds.clone(),
            formats: abilities.formats.clone(),
            features: abilities.features.clone(),
            granularity_bytes: abilities.granularity_bytes,
            min_bytes: abilities.min_bytes,
            max_bytes: abilities.max_bytes,
        },
        intent: intent(pool.intent),
        generation: pool.generation,
        created_at: pool.created_at.to_string(),
    }
}
