//! `GET /v1/instances/{id}` with what hangs on it, and why it is where it is.

use std::collections::{BTreeSet, HashMap};

use velum_model::{
    ComputeHostId, InstanceId,
    instance::Instance,
    page::{Page, Paged},
    storage::Volume,
    tenancy::Caller,
};
use velum_store::InstanceFilter;

use super::{InstanceDetail, Why};
use crate::{error::ServiceError, services::Services};

impl Services {
    /// An instance with its NICs, volumes and groups.
    ///
    /// # Errors
    /// It does not exist, or the database failed.
    pub async fn instance_detail(
        &self,
        caller: &Caller,
        id: InstanceId,
    ) -> Result<InstanceDetail, ServiceError> {
        let instance = self.instance_get(caller, id).await?;
        self.with_parts(instance).await
    }

    /// Instances that match and that the caller may see, with their NICs, volumes and groups: four queries for a page of
    /// any length.
    ///
    /// # Errors
    /// The database failed.
    pub async fn instance_details(
        &self,
        caller: &Caller,
        filter: &InstanceFilter,
        page: Page,
    ) -> Result<Paged<InstanceDetail>, ServiceError> {
        let found = self.instance_list(caller, filter, page).await?;
        let ids: Vec<InstanceId> = found.items.iter().map(|instance| instance.id).collect();
        let reader = self.read();
        let (nics, volumes, groups) = tokio::try_join!(
            reader.nics_of_all(&ids),
            reader.volumes_of_all(&ids),
            reader.members_of_all(&ids)
        )
        .map_err(unread)?;
        let mut nics = by_instance(nics.into_iter().map(|nic| (nic.instance, nic)));
        let attached = |volume: Volume| volume.attachment.map(|at| (at.instance, volume));
        let mut volumes = by_instance(volumes.into_iter().filter_map(attached));
        let mut groups = by_instance(groups.into_iter());
        Ok(found.map(|instance| {
            let id = instance.id;
            InstanceDetail {
                instance,
                nics: nics.remove(&id).unwrap_or_default(),
                volumes: volumes.remove(&id).unwrap_or_default(),
                affinity_groups: groups.remove(&id).unwrap_or_default(),
            }
        }))
    }

    /// An instance as it is to be answered, with the NICs, volumes and groups that it has now.
    pub(super) async fn with_parts(&self, instance: Instance) -> Result<InstanceDetail, ServiceError> {
        let reader = self.read();
        let one = [instance.id];
        let (nics, volumes, groups) = tokio::try_join!(
            reader.nics_of(instance.id),
            reader.volumes_of(instance.id),
            reader.members_of_all(&one)
        )
        .map_err(unread)?;
        Ok(InstanceDetail {
            instance,
            nics,
            volumes,
            affinity_groups: groups.into_iter().map(|(_, group)| group).collect(),
        })
    }

    /// The decision that placed an instance's last run, with the names of the compute hosts in it.
    ///
    /// # Errors
    /// It does not exist or was never placed, or the database failed.
    pub async fn instance_why(&self, caller: &Caller, id: InstanceId) -> Result<Why, ServiceError> {
        let instance = self.instance_get(caller, id).await?;
        let decision = instance
            .decision
            .ok_or_else(|| ServiceError::not_found("decision for instance", id))?;
        let decision = self.decision_get(caller, decision).await?;
        let ranked = decision
            .winner
            .iter()
            .chain(&decision.runners_up)
            .map(|ranked| ranked.compute_host);
        let refused = decision.refusals.iter().map(|refusal| refusal.compute_host);
        let ids: BTreeSet<ComputeHostId> = ranked.chain(refused).collect();
        let hosts = self.host_names(ids).await?;
        Ok(Why { decision, hosts })
    }

    /// Names of those of some compute hosts (no more than a page of them) that still exist.
    ///
    /// # Errors
    /// The database failed.
    pub async fn host_names(
        &self,
        ids: impl IntoIterator<Item = ComputeHostId> + Send,
    ) -> Result<Vec<(ComputeHostId, String)>, ServiceError> {
        let ids: Vec<ComputeHostId> = ids.into_iter().collect();
        let hosts = self.read().compute_hosts_of_all(&ids).await;
        let hosts = hosts.map_err(|error| ServiceError::from_store("read the compute hosts", error))?;
        let named = hosts.into_iter().map(|host| (host.id, host.name.to_string()));
        Ok(named.collect())
    }
}

fn unread(error: velum_store::StoreError) -> ServiceError {
    ServiceError::from_store("read the instance's parts", error)
}

/// What hangs on each instance, in the order in which it comes.
fn by_instance<T>(all: impl Iterator<Item = (InstanceId, T)>) -> HashMap<InstanceId, Vec<T>> {
    let mut found: HashMap<_, Vec<T>> = HashMap::with_capacity(all.size_hint().0);
    for (instance, one) in all {
        found.entry(instance).or_default().push(one);
    }
    found
}
