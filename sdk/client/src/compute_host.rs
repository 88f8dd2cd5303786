//! Taking compute hosts out of service and back.

use uuid::Uuid;
use velum_wire::ComputeHostView;

use crate::{Answered, ClientError, Collection, ComputeHosts};

impl Collection<'_, ComputeHosts> {
    /// Takes no new guests any more: an operation.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn maintenance(&self, id: Uuid) -> Result<Answered<ComputeHostView>, ClientError> {
        self.act(id, "maintenance", None::<&()>).await
    }

    /// Takes new guests again.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn enable(&self, id: Uuid) -> Result<Answered<ComputeHostView>, ClientError> {
        self.act(id, "enable", None::<&()>).await
    }
}
