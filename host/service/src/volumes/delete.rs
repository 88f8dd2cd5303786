//! `DELETE /v1/volumes/{id}`

use velum_model::{
    VolumeId,
    operation::{OperationKindName, Subject},
    storage::{Volume, VolumeState},
    tenancy::Caller,
};
use velum_operation::params::VolumeDelete;
use velum_store::{Change, Commit};

use crate::{
    error::ServiceError,
    request::{Accepted, Answered, Keyed},
    services::Services,
    write::{Acceptance, accepted_event, expect},
};

impl Services {
    /// Removes a volume that no instance has.
    ///
    /// # Errors
    /// It does not exist, is attached or on its way somewhere, an operation is at work on it, `expected` is not its
    /// generation.
    pub async fn volume_delete(
        &self,
        caller: &Caller,
        id: VolumeId,
        expected: Option<u64>,
        keyed: Option<Keyed<Accepted<Volume>>>,
    ) -> Result<Answered<Accepted<Volume>>, ServiceError> {
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let mut volume = self.volume_get(caller, id).await?;
        expect("volume", id.uuid(), expected, volume.generation)?;
        if let Some(attachment) = volume.attachment {
            return Err(ServiceError::InUse {
                what: "volume",
                id: id.uuid(),
                by: format!("the instance {}", attachment.instance),
            });
        }
        if volume.state != VolumeState::Ready {
            return Err(ServiceError::InvalidState {
                what: "volume",
                id: id.uuid(),
                problem: "the volume is being made or removed; wait for its operation".into(),
            });
        }
        let (operation, write, fence) = self.accept(
            caller,
            Acceptance {
                kind: OperationKindName::VolumeDelete,
                subject: Subject::Volume(id),
                project: volume.project,
                shard: self.zone_of(volume.zone).await?.shard,
                params: VolumeDelete::default(),
                also_locks: None,
                preempts: false,
            },
        )?;
        let about = ("volumes", id.uuid());
        let commit = Commit {
            fence: Some(fence),
            operation: Some(write),
            changes: vec![Change::VolumeState {
                id,
                from: VolumeState::Ready,
                to: VolumeState::Deleting,
            }],
            events: vec![accepted_event(
                caller,
                "volume.deleting",
                volume.project,
                operation,
                about,
            )],
            ..Commit::default()
        };
        volume.state = VolumeState::Deleting;
        volume.generation += 1;
        let accepted = Accepted {
            resource: volume,
            operation,
        };
        self.make("accept the removal", commit, keyed.as_ref(), accepted)
            .await
    }
}
