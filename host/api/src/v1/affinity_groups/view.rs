//! An affinity group as it is shown.

use velum_model::affinity::{AffinityGroup, AffinityKind, AffinityLevel, AffinityStrength};
use velum_wire::AffinityGroupView;

/// An affinity group as it is shown.
pub fn view(group: &AffinityGroup) -> AffinityGroupView {
    AffinityGroupView {
        id: group.id.uuid(),
        zone_id: group.zone.uuid(),
        project_id: group.project.uuid(),
        name: group.name.to_string(),
        description: group.description.clone(),
        kind: match group.kind {
            AffinityKind::Affinity => velum_wire::AffinityKind::Affinity,
            AffinityKind::AntiAffinity => velum_wire::AffinityKind::AntiAffinity,
        },
        strength: match group.strength {
            AffinityStrength::Required => velum_wire::AffinityStrength::Required,
            AffinityStrength::Preferred => velum_wire::AffinityStrength::Preferred,
        },
        level: match group.level {
            AffinityLevel::ComputeHost => velum_wire::AffinityLevel::ComputeHost,
            AffinityLevel::Pod => velum_wire::AffinityLevel::Pod,
        },
        members: group.members,
        generation: group.generation,
        created_at: group.created_at.to_string(),
    }
}
