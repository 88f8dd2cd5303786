//! `PATCH /v1/pods/{id}`

use velum_model::{PodId, infrastructure::Pod, tenancy::Caller};
use velum_store::{Change, Commit};

use super::ChangePod;
use crate::{
    error::ServiceError,
    services::Services,
    write::{expect, lost_a_race, no_tenant, own_event},
};

impl Services {
    /// Changes a pod.
    ///
    /// # Errors
    /// It or the project does not exist, the name is taken, `expected` is not its generation.
    pub async fn pod_change(
        &self,
        caller: &Caller,
        id: PodId,
        expected: Option<u64>,
        change: ChangePod,
    ) -> Result<Pod, ServiceError> {
        let mut tries = 0;
        loop {
            let changed = self.pod_change_once(caller, id, expected, &change).await;
            if !lost_a_race(&changed, expected, &mut tries) {
                return changed;
            }
        }
    }

    async fn pod_change_once(
        &self,
        caller: &Caller,
        id: PodId,
        expected: Option<u64>,
        change: &ChangePod,
    ) -> Result<Pod, ServiceError> {
        let mut pod = self.pod_get(caller, id).await?;
        expect("pod", id.uuid(), expected, pod.generation)?;
        if let Some(name) = &change.name {
            pod.name = name.clone();
        }
        pod.dedicated_to = change.dedicated_to.unwrap_or(pod.dedicated_to);
        let zone = self.zone_get(caller, pod.zone).await?;
        let commit = Commit {
            fence: Some(self.fence(zone.shard)?),
            changes: vec![Change::UpdatePod(pod.clone())],
            events: vec![own_event(caller, "pod.changed", ("pods", id.uuid()))],
            ..Commit::default()
        };
        let changed = self.commit("change the pod", commit).await;
        changed.map_err(|error| no_tenant(error, change.dedicated_to))?;
        pod.generation += 1;
        Ok(pod)
    }
}
