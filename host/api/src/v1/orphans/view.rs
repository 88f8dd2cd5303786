//! Something that no row owns, as it is shown.

use velum_model::orphan::{Orphan, OrphanKind, OrphanPlace};
use velum_wire::OrphanView;

/// Something that no row owns, as it is shown.
pub fn view(orphan: &Orphan) -> OrphanView {
    let (host, pool) = match orphan.place {
        OrphanPlace::ComputeHost(id) => (Some(id.uuid()), None),
        OrphanPlace::StoragePool(id) => (None, Some(id.uuid())),
    };
    OrphanView {
        id: orphan.id.uuid(),
        kind: match orphan.kind {
            OrphanKind::Guest => velum_wire::OrphanKind::Guest,
            OrphanKind::Volume => velum_wire::OrphanKind::Volume,
            OrphanKind::Publication => velum_wire::OrphanKind::Publication,
            OrphanKind::Seed => velum_wire::OrphanKind::Seed,
        },
        compute_host_id: host,
        storage_pool_id: pool,
        object_id: orphan.object,
        peer_compute_host_id: orphan.peer.map(|id| id.uuid()),
        name: orphan.name.clone(),
        removed_at: orphan.removed_at.map(|at| at.to_string()),
        first_seen_at: orphan.first_seen.to_string(),
        last_seen_at: orphan.last_seen.to_string(),
        observations: orphan.observations,
    }
}
