//! Waiting for operations, and deciding on those that are parked.

use std::time::Duration;

use uuid::Uuid;
use velum_wire::{AssertGoneBody, DecideOperationBody, OperationState, OperationView};

use crate::{Answered, Client, ClientError, Collection, Operations, http::Ask};

/// How an operation ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It did what was asked.
    Done(Box<OperationView>),
    /// It could not, and is as if it had never been.
    Undone(Box<OperationView>),
    /// It is stuck; the operator decides.
    Parked(Box<OperationView>),
}

impl Outcome {
    /// The operation.
    #[must_use]
    pub fn view(&self) -> &OperationView {
        match self {
            Self::Done(view) | Self::Undone(view) | Self::Parked(view) => view,
        }
    }

    /// Whether it did what was asked.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

/// How long the server is asked to hold an answer back: half of what it allows a request.
const HELD: Duration = Duration::from_secs(10);
/// The same when somebody watches: often enough for a bar to move.
const WATCHED: Duration = Duration::from_millis(700);
/// A server that answers at once, for whatever reason, is not asked more often than this.
const GENTLE: Duration = Duration::from_millis(100);

impl Collection<'_, Operations> {
    /// Lets a parked operation try again the step that failed, forward or backwards as it went.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when it is not parked.
    pub async fn retry(
        &self,
        id: Uuid,
        reason: Option<String>,
    ) -> Result<Answered<OperationView>, ClientError> {
        self.act(id, "retry", Some(&DecideOperationBody { reason })).await
    }

    /// Turns a parked operation back.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when it is not parked or has no way back.
    pub async fn undo(
        &self,
        id: Uuid,
        reason: Option<String>,
    ) -> Result<Answered<OperationView>, ClientError> {
        self.act(id, "undo", Some(&DecideOperationBody { reason })).await
    }

    /// Says that what a parked operation could not reach is gone for good.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when it is not parked or waits for nothing that could be gone.
    pub async fn assert_gone(
        &self,
        id: Uuid,
        reason: String,
    ) -> Result<Answered<OperationView>, ClientError> {
        self.act(id, "assert-gone", Some(&AssertGoneBody { reason }))
            .await
    }
}

impl Client {
    /// Waits until an operation ended or is parked. Without a limit of its own: put a timeout around it.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn wait(&self, operation: Uuid) -> Result<Outcome, ClientError> {
        self.wait_asking(operation, HELD, |_| {}).await
    }

    /// The same, showing `watch` the operation as it goes on.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn wait_watching(
        &self,
        operation: Uuid,
        watch: impl FnMut(&OperationView),
    ) -> Result<Outcome, ClientError> {
        self.wait_asking(operation, WATCHED, watch).await
    }

    async fn wait_asking(
        &self,
        operation: Uuid,
        held: Duration,
        mut watch: impl FnMut(&OperationView),
    ) -> Result<Outcome, ClientError> {
        let ask = Ask::get(Collection::<Operations>::path_of(operation)).query("wait_ms", held.as_millis());
        loop {
            let asked = tokio::time::Instant::now();
            let view: OperationView = self.send(&ask).await?.json()?;
            watch(&view);
            match view.state {
                OperationState::Done => return Ok(Outcome::Done(Box::new(view))),
                OperationState::Undone => return Ok(Outcome::Undone(Box::new(view))),
                OperationState::Parked => return Ok(Outcome::Parked(Box::new(view))),
                OperationState::Running | OperationState::Undoing => {}
            }
            tokio::time::sleep(GENTLE.saturating_sub(asked.elapsed())).await;
        }
    }
}
