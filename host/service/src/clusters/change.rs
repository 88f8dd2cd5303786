//! `PATCH /v1/clusters/{id}`

use velum_model::{ClusterId, infrastructure::Cluster, tenancy::Caller};
use velum_store::{Change, Commit};

use super::ChangeCluster;
use crate::{
    error::ServiceError,
    services::Services,
    write::{expect, lost_a_race, no_tenant, own_event},
};

impl Services {
    /// Changes a cluster; the ceilings of its compute hosts follow its overcommit. Guests that are there stay.
    ///
    /// # Errors
    /// It or the project does not exist, the name is taken, `expected` is not its generation.
    pub async fn cluster_change(
        &self,
        caller: &Caller,
        id: ClusterId,
        expected: Option<u64>,
        change: ChangeCluster,
    ) -> Result<Cluster, ServiceError> {
        let mut tries = 0;
        loop {
            let changed = self.cluster_change_once(caller, id, expected, &change).await;
            if !lost_a_race(&changed, expected, &mut tries) {
                return changed;
            }
        }
    }

    async fn cluster_change_once(
        &self,
        caller: &Caller,
        id: ClusterId,
        expected: Option<u64>,
        change: &ChangeCluster,
    ) -> Result<Cluster, ServiceError> {
        let mut cluster = self.cluster_get(caller, id).await?;
        expect("cluster", id.uuid(), expected, cluster.generation)?;
        if let Some(name) = &change.name {
            cluster.name = name.clone();
        }
        cluster.dedicated_to = change.dedicated_to.unwrap_or(cluster.dedicated_to);
        cluster.cpu_overcommit = change.cpu_overcommit.unwrap_or(cluster.cpu_overcommit);
        cluster.memory_overcommit = change.memory_overcommit.unwrap_or(cluster.memory_overcommit);
        let commit = Commit {
            fence: Some(self.fence(cluster.shard)?),
            changes: vec![Change::UpdateCluster(cluster.clone())],
            events: vec![own_event(caller, "cluster.changed", ("clusters", id.uuid()))],
            ..Commit::default()
        };
        let changed = self.commit("change the cluster", commit).await;
        changed.map_err(|error| no_tenant(error, change.dedicated_to))?;
        cluster.generation += 1;
        Ok(cluster)
    }
}
