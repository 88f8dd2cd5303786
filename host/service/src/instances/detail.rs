//! `GET /v1/instances/{id}` with what hangs on it, and why it is where it is.

use std::collections::BTreeSet;

use velum_model::{ComputeHostId, InstanceId, tenancy::Caller};

use super::{InstanceDetail, Why};
use crate::{error::ServiceError, services::Services};

impl Services {
    /// An instance with its NICs and volumes.
    ///
    /// # Errors
    /// It does not exist, or the database failed.
    pub async fn instance_detail(
        &self,
        caller: &Caller,
        id: InstanceId,
    ) -> Result<InstanceDetail, ServiceError> {
        let failed = |error| ServiceError::from_store("read the instance's parts", error);
        let instance = self.instance_get(caller, id).await?;
        let reader = self.read();
        Ok(InstanceDetail {
            instance,
            nics: reader.nics_of(id).await.map_err(failed)?,
            volumes: reader.volumes_of(id).await.map_err(failed)?,
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

    /// Names of compute hosts that still exist.
    ///
    /// # Errors
    /// The database failed.
    pub async fn host_names(
        &self,
        ids: impl IntoIterator<Item = ComputeHostId> + Send,
    ) -> Result<Vec<(ComputeHostId, String)>, ServiceError> {
        let reader = self.read();
        let ids: Vec<ComputeHostId> = ids.into_iter().collect();
        let mut names = Vec::with_capacity(ids.len());
        for id in ids {
            let host = reader.compute_host(id).await;
            let host = host.map_err(|error| ServiceError::from_store("read the compute host", error))?;
            names.extend(host.map(|host| (id, host.name.to_string())));
        }
        Ok(names)
    }
}
