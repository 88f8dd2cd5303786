//! Attaching and detaching volumes.

use uuid::Uuid;
use velum_wire::{AttachVolumeBody, VolumeView};

use crate::{Answered, ClientError, Collection, Volumes};

impl Collection<'_, Volumes> {
    /// Gives a volume to an instance.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when another instance has it or this one cannot reach it.
    pub async fn attach(&self, id: Uuid, instance: Uuid) -> Result<Answered<VolumeView>, ClientError> {
        self.act(
            id,
            "attach",
            Some(&AttachVolumeBody {
                instance_id: instance,
            }),
        )
        .await
    }

    /// Takes it back from the instance that has it.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when none has it.
    pub async fn detach(&self, id: Uuid) -> Result<Answered<VolumeView>, ClientError> {
        self.act(id, "detach", None::<&()>).await
    }
}
