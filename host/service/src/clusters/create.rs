//! `POST /v1/clusters`

use velum_model::{infrastructure::Cluster, plugin::World, tenancy::Caller};
use velum_store::{Change, Commit};

use super::NewCluster;
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    write::{administer, no_such, own_event},
};

impl Services {
    /// Makes a cluster.
    ///
    /// # Errors
    /// The pod does not exist, the driver is not installed, the name is taken.
    pub async fn cluster_create(
        &self,
        caller: &Caller,
        new: NewCluster,
        keyed: Option<Keyed<Cluster>>,
    ) -> Result<Answered<Cluster>, ServiceError> {
        administer(caller, "cluster")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let pod = self.read().pod(new.pod).await;
        let pod = pod
            .map_err(|error| ServiceError::from_store("read the pod", error))?
            .ok_or_else(|| no_such("/pod_id", "pod", new.pod))?;
        self.newest_plugin(&new.driver, World::HypervisorDriver, "/driver")
            .await?;
        let zone = self.zone_get(caller, pod.zone).await?;
        let cluster = Cluster {
            id: self.fresh(),
            zone: zone.id,
            pod: pod.id,
            shard: zone.shard,
            name: new.name,
            driver: new.driver,
            cpu_overcommit: new.cpu_overcommit,
            memory_overcommit: new.memory_overcommit,
            dedicated_to: None,
            generation: 1,
            created_at: self.now(),
        };
        let commit = Commit {
            fence: Some(self.fence(zone.shard)?),
            changes: vec![Change::InsertCluster(cluster.clone())],
            events: vec![own_event(
                caller,
                "cluster.created",
                ("clusters", cluster.id.uuid()),
            )],
            ..Commit::default()
        };
        self.make("store the cluster", commit, keyed.as_ref(), cluster)
            .await
    }
}
