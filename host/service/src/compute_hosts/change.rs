//! `PATCH /v1/compute-hosts/{id}`

use velum_model::{ComputeHostId, infrastructure::ComputeHost, resource::restated, tenancy::Caller};
use velum_store::{Change, Commit};

use super::{
    ChangeComputeHost,
    create::{object, target_of},
};
use crate::{
    error::ServiceError,
    services::Services,
    targets::{check_attributes, intent, tidy_tags},
    write::{expect, lost_a_race, no_tenant, own_event},
};

impl Services {
    /// Changes a compute host. Other settings are probed before they are stored.
    ///
    /// # Errors
    /// It or the project does not exist, the name is taken, the settings do not work, `expected` is not its generation.
    pub async fn compute_host_change(
        &self,
        caller: &Caller,
        id: ComputeHostId,
        expected: Option<u64>,
        mut change: ChangeComputeHost,
    ) -> Result<ComputeHost, ServiceError> {
        let host = self.compute_host_get(caller, id).await?;
        if let Some(config) = change.config.take() {
            let config = object(config);
            self.probe_host(&host.driver, &target_of(&host, config.clone()))
                .await?;
            change.config = Some(config);
        }
        if let Some(tags) = change.tags.take() {
            change.tags = Some(tidy_tags(tags, "/tags")?);
        }
        if let Some(attributes) = &change.attributes {
            check_attributes(attributes)?;
        }
        let mut tries = 0;
        loop {
            let changed = self.compute_host_change_once(caller, id, expected, &change).await;
            if !lost_a_race(&changed, expected, &mut tries) {
                return changed;
            }
        }
    }

    async fn compute_host_change_once(
        &self,
        caller: &Caller,
        id: ComputeHostId,
        expected: Option<u64>,
        change: &ChangeComputeHost,
    ) -> Result<ComputeHost, ServiceError> {
        let mut host = self.compute_host_get(caller, id).await?;
        expect("compute host", id.uuid(), expected, host.generation)?;
        let cluster = self.cluster_get(caller, host.cluster).await?;
        if let Some(name) = &change.name {
            host.name = name.clone();
        }
        if let Some(tags) = &change.tags {
            host.tags = tags.clone();
        }
        if let Some(attributes) = &change.attributes {
            host.attributes = attributes.clone();
        }
        if let Some(config) = &change.config {
            host.config = config.clone();
        }
        host.dedicated_to = change.dedicated_to.unwrap_or(host.dedicated_to);
        host.intent = intent(change.enabled, host.intent);
        host.vcpus = change.vcpus.unwrap_or(host.vcpus);
        host.memory = change.memory.unwrap_or(host.memory);
        if let Some(stated) = &change.resources {
            host.resources = restated(&host.resources, stated);
        }
        // Never below what is promised (law 2).
        let vcpus = cluster.cpu_overcommit.ceiling(u64::from(host.vcpus.get()));
        host.vcpus_ceiling = vcpus.max(host.vcpus_used);
        let memory = cluster.memory_overcommit.ceiling(host.memory.get());
        host.memory_ceiling = memory.max(host.memory_used);
        let commit = Commit {
            fence: Some(self.fence(cluster.shard)?),
            changes: vec![Change::UpdateComputeHost(Box::new(host.clone()))],
            events: vec![own_event(
                caller,
                "compute-host.changed",
                ("compute-hosts", id.uuid()),
            )],
            ..Commit::default()
        };
        let changed = self.commit("change the compute host", commit).await;
        changed.map_err(|error| no_tenant(error, change.dedicated_to))?;
        host.generation += 1;
        Ok(host)
    }
}
