//! `POST /v1/compute-hosts/{id}/maintenance`

use velum_model::{
    ComputeHostId,
    infrastructure::{ComputeHost, Intent},
    operation::{OperationKindName, Subject},
    tenancy::{BUILT_IN_PROJECT, Caller},
};
use velum_operation::params::ComputeHostMaintenance;
use velum_store::{Change, Commit};

use crate::{
    error::ServiceError,
    request::{Accepted, Answered, Keyed},
    services::Services,
    write::{Acceptance, accepted_event, administer, expect},
};

impl Services {
    /// Takes a compute host out of service: no new guest from the accept on. Enabling it ends that.
    ///
    /// # Errors
    /// It does not exist, it is in maintenance already, an operation is at work on it.
    pub async fn compute_host_maintenance(
        &self,
        caller: &Caller,
        id: ComputeHostId,
        expected: Option<u64>,
        keyed: Option<Keyed<Accepted<ComputeHost>>>,
    ) -> Result<Answered<Accepted<ComputeHost>>, ServiceError> {
        administer(caller, "compute host")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let mut host = self.compute_host_get(caller, id).await?;
        expect("compute host", id.uuid(), expected, host.generation)?;
        if host.intent == Intent::Maintenance {
            return Err(ServiceError::InvalidState {
                what: "compute host",
                id: id.uuid(),
                problem: "the compute host is in maintenance already; enable it to end that".into(),
            });
        }
        let cluster = self.cluster_get(caller, host.cluster).await?;
        host.intent = Intent::Maintenance;
        let (operation, write, fence) = self.accept(
            caller,
            Acceptance {
                kind: OperationKindName::ComputeHostMaintenance,
                subject: Subject::ComputeHost(id),
                project: BUILT_IN_PROJECT,
                shard: cluster.shard,
                params: ComputeHostMaintenance::default(),
                also_locks: None,
                preempts: false,
            },
        )?;
        let about = ("compute-hosts", id.uuid());
        let commit = Commit {
            fence: Some(fence),
            operation: Some(write),
            changes: vec![Change::UpdateComputeHost(Box::new(host.clone()))],
            events: vec![accepted_event(
                caller,
                "compute-host.maintenance",
                BUILT_IN_PROJECT,
                operation,
                about,
            )],
            ..Commit::default()
        };
        host.generation += 1;
        let accepted = Accepted {
            resource: host,
            operation,
        };
        self.make("accept the maintenance", commit, keyed.as_ref(), accepted)
            .await
    }
}
