//! Waiting for operations.

use std::time::Duration;

use uuid::Uuid;
use velum_wire::{OperationState, OperationView};

use crate::{Client, ClientError, Collection, Operations, http::Ask};

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
