//! A pod as it is shown.

use velum_model::infrastructure::Pod;
use velum_wire::PodView;

/// A pod as it is shown.
pub fn view(pod: &Pod) -> PodView {
    PodView {
        id: pod.id.uuid(),
        zone_id: pod.zone.uuid(),
        name: pod.name.to_string(),
        cidr: pod.cidr.to_string(),
        gateway: pod.gateway.to_string(),
        dedicated_to: pod.dedicated_to.map(|id| id.uuid()),
        generation: pod.generation,
        created_at: pod.created_at.to_string(),
    }
}
