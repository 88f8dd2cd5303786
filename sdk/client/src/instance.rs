//! What instances can do beyond the common verbs.

use bytes::Bytes;
use uuid::Uuid;
use velum_wire::{
    BatchView, CreateInstanceBody, CreateInstancesBody, DecisionView, InstanceView, RebootInstanceBody,
    StopInstanceBody,
};

use crate::{Answered, Client, ClientError, Collection, Console, Instances, http::Ask};

const NOTHING: Option<&()> = None;

impl Collection<'_, Instances> {
    /// Decides where an instance would go, and claims nothing.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem that names the field.
    pub async fn plan(&self, body: &CreateInstanceBody) -> Result<DecisionView, ClientError> {
        let ask = Ask::post(Self::path(), Client::new_key())
            .query("dry_run", true)
            .json(body)?;
        self.client().send(&ask).await?.json()
    }

    /// Makes and starts many of a zone, in one transaction.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem that names the field, or that of the one without a place if all or none were wanted.
    pub async fn create_batch(&self, body: &CreateInstancesBody) -> Result<BatchView, ClientError> {
        let path = format!("{}:batch", Self::path());
        let ask = Ask::post(path, Client::new_key()).json(body)?;
        self.client().send(&ask).await?.json()
    }

    /// Starts a stopped instance: a placement.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when it is not stopped or nothing has room.
    pub async fn start(&self, id: Uuid) -> Result<Answered<InstanceView>, ClientError> {
        self.act(id, "start", NOTHING).await
    }

    /// Stops a running one: gracefully, then hard.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when it does not run.
    pub async fn stop(&self, id: Uuid) -> Result<Answered<InstanceView>, ClientError> {
        self.act(id, "stop", NOTHING).await
    }

    /// Stops a running one: hard when its guest did not shut down within `grace_ms` milliseconds; 0 does not ask it.
    ///
    /// # Errors
    /// As [`Collection::stop`].
    pub async fn stop_within(&self, id: Uuid, grace_ms: u64) -> Result<Answered<InstanceView>, ClientError> {
        self.act(
            id,
            "stop",
            Some(&StopInstanceBody {
                grace_ms: Some(grace_ms),
            }),
        )
        .await
    }

    /// Reboots a running one.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when it does not run.
    pub async fn reboot(&self, id: Uuid) -> Result<Answered<InstanceView>, ClientError> {
        self.act(id, "reboot", NOTHING).await
    }

    /// Resets a running one without asking its guest.
    ///
    /// # Errors
    /// As [`Collection::reboot`].
    pub async fn reset(&self, id: Uuid) -> Result<Answered<InstanceView>, ClientError> {
        self.act(id, "reboot", Some(&RebootInstanceBody { hard: true }))
            .await
    }

    /// Why it is where it is.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when it was never placed.
    pub async fn decision(&self, id: Uuid) -> Result<DecisionView, ClientError> {
        self.client()
            .send(&Ask::get(format!("{}/decision", Self::path_of(id))))
            .await?
            .json()
    }

    /// What its serial console showed last.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn console_log(&self, id: Uuid) -> Result<Bytes, ClientError> {
        Ok(self
            .client()
            .send(&Ask::get(format!("{}/console-log", Self::path_of(id))))
            .await?
            .bytes())
    }

    /// Opens its serial console.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when it does not run or has no console.
    pub async fn console(&self, id: Uuid) -> Result<Console, ClientError> {
        let url = self.client().url(&format!("{}/console", Self::path_of(id)));
        Console::open(&url, self.client().token()).await
    }
}
