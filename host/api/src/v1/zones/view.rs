//! A zone as it is shown.

use velum_model::infrastructure::{Zone, ZoneAccess};
use velum_wire::ZoneView;

/// A zone as it is shown.
pub fn view(zone: &Zone) -> ZoneView {
    let (access, project_id) = match zone.access {
        ZoneAccess::Public => (velum_wire::ZoneAccess::Public, None),
        ZoneAccess::Private(project) => (velum_wire::ZoneAccess::Private, Some(project.uuid())),
    };
    ZoneView {
        id: zone.id.uuid(),
        name: zone.name.to_string(),
        access,
        project_id,
        policy_id: zone.policy.map(|id| id.uuid()),
        pool_policy_id: zone.pool_policy.map(|id| id.uuid()),
        generation: zone.generation,
        created_at: zone.created_at.to_string(),
    }
}
