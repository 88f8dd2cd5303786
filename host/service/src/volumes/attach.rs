//! `POST /v1/volumes/{id}/attach` and `…/detach`

use velum_model::{
    InstanceId, VolumeId,
    instance::{Instance, InstanceState},
    operation::{OperationKindName, Subject},
    storage::{Volume, VolumeAttachment, VolumeState, VolumeUse},
    tenancy::Caller,
};
use velum_operation::params::{VolumeAttach, VolumeDetach};
use velum_store::{Change, Commit};

use super::SLOTS;
use crate::{
    error::ServiceError,
    request::{Accepted, Answered, Keyed},
    services::Services,
    write::{Acceptance, accepted_event, no_such},
};

impl Services {
    /// Gives a volume to an instance; a running guest gets it at once.
    ///
    /// # Errors
    /// One of them does not exist, the volume is no free data volume, the instance is on its way somewhere or has no
    /// free slot, its compute host does not reach the volume's pool, an operation is at work on either.
    pub async fn volume_attach(
        &self,
        caller: &Caller,
        id: VolumeId,
        to: InstanceId,
        keyed: Option<Keyed<Accepted<Volume>>>,
    ) -> Result<Answered<Accepted<Volume>>, ServiceError> {
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let mut volume = self.volume_get(caller, id).await?;
        let instance = self.read().instance(caller.scope, to).await;
        let instance = instance
            .map_err(|error| ServiceError::from_store("read the instance", error))?
            .filter(|instance| instance.zone == volume.zone)
            .ok_or_else(|| no_such("/instance_id", "instance of the volume's zone", to))?;
        check_free(&volume)?;
        check_settled(&instance)?;
        if let Some(run) = &instance.run {
            self.check_reach(&volume, run.compute_host).await?;
        }
        let slot = self.free_slot(&instance).await?;
        let acceptance = Acceptance {
            kind: OperationKindName::VolumeAttach,
            subject: Subject::Volume(id),
            project: volume.project,
            shard: self.zone_of(volume.zone).await?.shard,
            params: VolumeAttach {
                instance: to,
                slot,
                run: instance.run.as_ref().map(|run| run.id),
            },
            also_locks: Some(Subject::Instance(to)),
            preempts: false,
        };
        let (operation, write, fence) = self.accept(caller, acceptance)?;
        let commit = Commit {
            fence: Some(fence),
            operation: Some(write),
            changes: vec![Change::AttachVolume {
                id,
                instance: to,
                slot,
            }],
            events: vec![accepted_event(
                caller,
                "volume.attaching",
                volume.project,
                operation,
                ("volumes", id.uuid()),
            )],
            ..Commit::default()
        };
        volume.attachment = Some(VolumeAttachment { instance: to, slot });
        volume.generation += 1;
        let accepted = Accepted {
            resource: volume,
            operation,
        };
        self.make("accept the attachment", commit, keyed.as_ref(), accepted)
            .await
    }

    /// Takes a volume back from its instance.
    ///
    /// # Errors
    /// It does not exist, is not attached or is a root volume, an operation is at work on it or its instance.
    pub async fn volume_detach(
        &self,
        caller: &Caller,
        id: VolumeId,
        keyed: Option<Keyed<Accepted<Volume>>>,
    ) -> Result<Answered<Accepted<Volume>>, ServiceError> {
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let volume = self.volume_get(caller, id).await?;
        if volume.used_as == VolumeUse::Root {
            return Err(not_so(&volume, "it is a root volume: it goes with its instance"));
        }
        let attachment = volume
            .attachment
            .ok_or_else(|| not_so(&volume, "it is not attached"))?;
        let instance = self.instance_get(caller, attachment.instance).await?;
        check_settled(&instance)?;
        let acceptance = Acceptance {
            kind: OperationKindName::VolumeDetach,
            subject: Subject::Volume(id),
            project: volume.project,
            shard: self.zone_of(volume.zone).await?.shard,
            params: VolumeDetach {
                instance: attachment.instance,
                slot: attachment.slot,
                run: instance.run.as_ref().map(|run| run.id),
            },
            also_locks: Some(Subject::Instance(attachment.instance)),
            preempts: false,
        };
        let (operation, write, fence) = self.accept(caller, acceptance)?;
        let commit = Commit {
            fence: Some(fence),
            operation: Some(write),
            events: vec![accepted_event(
                caller,
                "volume.detaching",
                volume.project,
                operation,
                ("volumes", id.uuid()),
            )],
            ..Commit::default()
        };
        let accepted = Accepted {
            resource: volume,
            operation,
        };
        self.make("accept the detachment", commit, keyed.as_ref(), accepted)
            .await
    }

    /// The lowest slot without a volume.
    async fn free_slot(&self, instance: &Instance) -> Result<u16, ServiceError> {
        let volumes = self.read().volumes_of(instance.id).await;
        let volumes =
            volumes.map_err(|error| ServiceError::from_store("read the instance's volumes", error))?;
        let is_taken = |slot: &u16| {
            volumes
                .iter()
                .any(|volume| volume.attachment.is_some_and(|at| at.slot == *slot))
        };
        (1..SLOTS)
            .find(|slot| !is_taken(slot))
            .ok_or_else(|| ServiceError::InvalidState {
                what: "instance",
                id: instance.id.uuid(),
                problem: format!("the instance has {SLOTS} volumes, which is all it can have"),
            })
    }

    /// A running guest's compute host must be able to attach what is on the volume's pool.
    async fn check_reach(
        &self,
        volume: &Volume,
        host: velum_model::ComputeHostId,
    ) -> Result<(), ServiceError> {
        let failed = |error| ServiceError::from_store("read where the volume is", error);
        let reader = self.read();
        let host = reader.compute_host(host).await.map_err(failed)?;
        let pool = reader.storage_pool(volume.pool).await.map_err(failed)?;
        let reaches = match (&host, &pool) {
            (Some(host), Some(pool)) => {
                let kinds = &pool.abilities.attachment_kinds;
                host.abilities
                    .attachment_kinds
                    .iter()
                    .any(|kind| kinds.contains(kind))
                    && is_in_scope(host, pool)
            }
            _ => false,
        };
        if reaches {
            return Ok(());
        }
        let problem = "the compute host of the instance does not reach the volume's pool; stop the instance, \
                       attach the volume, then start it elsewhere";
        Err(not_so(volume, problem))
    }
}

fn is_in_scope(
    host: &velum_model::infrastructure::ComputeHost,
    pool: &velum_model::infrastructure::StoragePool,
) -> bool {
    use velum_model::infrastructure::PoolScope;
    match pool.scope {
        PoolScope::Zone => pool.zone == host.zone,
        PoolScope::Cluster(cluster) => cluster == host.cluster,
        PoolScope::ComputeHost(id) => id == host.id,
    }
}

fn not_so(volume: &Volume, problem: &str) -> ServiceError {
    ServiceError::InvalidState {
        what: "volume",
        id: volume.id.uuid(),
        problem: format!("the volume {} cannot be used so: {problem}", volume.name),
    }
}

fn check_free(volume: &Volume) -> Result<(), ServiceError> {
    let problem = match (volume.used_as, volume.state, volume.attachment) {
        (VolumeUse::Root, ..) => "it is a root volume",
        (_, _, Some(_)) => "it is attached already; detach it first",
        (_, VolumeState::Creating, _) => "it is still being made; wait for its operation",
        (_, VolumeState::Deleting, _) => "it is being removed",
        (VolumeUse::Data, VolumeState::Ready, None) => return Ok(()),
    };
    Err(not_so(volume, problem))
}

fn check_settled(instance: &Instance) -> Result<(), ServiceError> {
    match instance.state {
        InstanceState::Running | InstanceState::Stopped => Ok(()),
        other => Err(ServiceError::InvalidState {
            what: "instance",
            id: instance.id.uuid(),
            problem: format!("the instance is {other}; its volumes change while it is running or stopped"),
        }),
    }
}
