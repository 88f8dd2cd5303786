//! A cluster as it is shown.

use velum_model::infrastructure::Cluster;
use velum_wire::ClusterView;

/// A cluster as it is shown.
pub fn view(cluster: &Cluster) -> ClusterView {
    ClusterView {
        id: cluster.id.uuid(),
        zone_id: cluster.zone.uuid(),
        pod_id: cluster.pod.uuid(),
        name: cluster.name.to_string(),
        driver: cluster.driver.to_string(),
        cpu_overcommit_permille: cluster.cpu_overcommit.get(),
        memory_overcommit_permille: cluster.memory_overcommit.get(),
        dedicated_to: cluster.dedicated_to.map(|id| id.uuid()),
        generation: cluster.generation,
        created_at: cluster.created_at.to_string(),
    }
}
