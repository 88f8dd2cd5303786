//! `POST /v1/instances/{id}/stop` and `…/reboot`

use velum_model::{
    InstanceId,
    instance::{Instance, InstanceState, Run},
    operation::{OperationKindName, Subject},
    tenancy::Caller,
};
use velum_operation::params::{InstanceReboot, InstanceStop};
use velum_store::{Change, Commit};

use super::{InstanceDetail, start::refused};
use crate::{
    error::ServiceError,
    request::{Accepted, Answered, Keyed},
    services::Services,
    write::{Acceptance, accepted_event},
};

/// The longest that a guest may be given to shut down: what a person waits at most for a machine to go off.
const GRACE_MAX_MS: u64 = 600_000;

impl Services {
    /// Accepts the stop of a running instance. The guest has `grace_ms` milliseconds to shut down by itself (at most
    /// ten minutes), then it is killed; 0 kills at once.
    ///
    /// # Errors
    /// It does not exist or does not run, an operation is at work on it.
    pub async fn instance_stop(
        &self,
        caller: &Caller,
        id: InstanceId,
        grace_ms: u64,
        keyed: Option<Keyed<Accepted<InstanceDetail>>>,
    ) -> Result<Answered<Accepted<InstanceDetail>>, ServiceError> {
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        if grace_ms > GRACE_MAX_MS {
            return Err(ServiceError::invalid(
                "/grace_ms",
                format!("{grace_ms} ms are more than {GRACE_MAX_MS}"),
                "give the guest at most ten minutes",
            ));
        }
        let mut instance = self.instance_get(caller, id).await?;
        let from = instance.state;
        instance.state = from.stop().map_err(|error| refused(id, &error))?;
        let run = run_of(&instance)?;
        let params = InstanceStop {
            run: run.id,
            grace_ms,
        };
        let accept = Accept {
            kind: OperationKindName::InstanceStop,
            event: "instance.stopping",
            from,
            preempts: false,
        };
        self.instance_accept(caller, accept, instance, params, keyed.as_ref())
            .await
    }

    /// Accepts the reboot of a running instance: the guest is asked, or (hard) reset.
    ///
    /// # Errors
    /// It does not exist or does not run, an operation is at work on it.
    pub async fn instance_reboot(
        &self,
        caller: &Caller,
        id: InstanceId,
        hard: bool,
        keyed: Option<Keyed<Accepted<InstanceDetail>>>,
    ) -> Result<Answered<Accepted<InstanceDetail>>, ServiceError> {
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let mut instance = self.instance_get(caller, id).await?;
        let from = instance.state;
        instance.state = from.reboot().map_err(|error| refused(id, &error))?;
        let run = run_of(&instance)?;
        let params = InstanceReboot { run: run.id, hard };
        let accept = Accept {
            kind: OperationKindName::InstanceReboot,
            event: "instance.rebooting",
            from,
            preempts: false,
        };
        self.instance_accept(caller, accept, instance, params, keyed.as_ref())
            .await
    }

    /// Commits a change of state with the operation that carries it out. `instance` is in the new state already.
    pub(super) async fn instance_accept<P: serde::Serialize>(
        &self,
        caller: &Caller,
        accept: Accept,
        mut instance: Instance,
        params: P,
        keyed: Option<&Keyed<Accepted<InstanceDetail>>>,
    ) -> Result<Answered<Accepted<InstanceDetail>>, ServiceError> {
        let id = instance.id;
        let zone = self.zone_of(instance.zone).await?;
        let (operation, write, fence) = self.accept(
            caller,
            Acceptance {
                kind: accept.kind,
                subject: Subject::Instance(id),
                project: instance.project,
                shard: zone.shard,
                params,
                also_locks: None,
                preempts: accept.preempts,
            },
        )?;
        let about = ("instances", id.uuid());
        let commit = Commit {
            fence: Some(fence),
            operation: Some(write),
            changes: vec![Change::InstanceState {
                id,
                from: vec![accept.from],
                to: instance.state,
            }],
            events: vec![accepted_event(
                caller,
                accept.event,
                instance.project,
                operation,
                about,
            )],
            ..Commit::default()
        };
        instance.generation += 1;
        let accepted = Accepted {
            resource: self.with_parts(instance).await?,
            operation,
        };
        self.make("accept the change of the instance", commit, keyed, accepted)
            .await
    }
}

/// What is accepted for an instance.
pub(super) struct Accept {
    pub kind: OperationKindName,
    pub event: &'static str,
    pub from: InstanceState,
    pub preempts: bool,
}

fn run_of(instance: &Instance) -> Result<&Run, ServiceError> {
    instance.run.as_ref().ok_or_else(|| ServiceError::InvalidState {
        what: "instance",
        id: instance.id.uuid(),
        problem: "the instance has no run".into(),
    })
}
