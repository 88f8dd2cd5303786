//! `DELETE /v1/instances/{id}`

use velum_model::{InstanceId, instance::InstanceState, operation::OperationKindName, tenancy::Caller};
use velum_operation::params::InstanceDestroy;

use super::{InstanceDetail, start::refused, stop::Accept};
use crate::{
    error::ServiceError,
    request::{Accepted, Answered, Keyed},
    services::Services,
    write::expect,
};

impl Services {
    /// Accepts the end of an instance with its root volume, NICs and addresses; data volumes stay. Comes even in the
    /// middle of a create or start, which it cancels before its pivot.
    ///
    /// # Errors
    /// It does not exist or is on its way out, in the middle of a stop or reboot, `expected` is not its generation.
    pub async fn instance_destroy(
        &self,
        caller: &Caller,
        id: InstanceId,
        expected: Option<u64>,
        keyed: Option<Keyed<Accepted<InstanceDetail>>>,
    ) -> Result<Answered<Accepted<InstanceDetail>>, ServiceError> {
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let mut instance = self.instance_get(caller, id).await?;
        expect("instance", id.uuid(), expected, instance.generation)?;
        let from = instance.state;
        instance.state = from.destroy().map_err(|error| refused(id, &error))?;
        let accept = Accept {
            kind: OperationKindName::InstanceDestroy,
            event: "instance.destroying",
            from,
            // What is Running or Stopped may be locked by an attach of a volume: that one is waited for, not cut, unless
            // it is parked.
            preempts: matches!(
                from,
                InstanceState::Creating | InstanceState::Starting | InstanceState::Failed
            ),
        };
        self.instance_accept(caller, accept, instance, InstanceDestroy {}, keyed.as_ref())
            .await
    }
}
