//! What one turn of the crank comes to.

use velum_model::{
    fault::{Fault, code},
    operation::{Operation, OperationError, OperationState},
};
use velum_store::{Refused, StoreError};

use super::Next;
use crate::engine::Shared;

/// One turn of the crank.
pub(super) enum Turn {
    /// Go on with the operation as it is now.
    On,
    /// Come back when it is due.
    Pause,
    /// It came to an end.
    End,
    /// The row has moved on under us: read it again.
    Reload,
    /// What the far side answered cannot be true beside what is recorded: the step failed by it.
    Misled(Fault),
    /// Another epoch owns the shard.
    Lost,
}

/// What a refused commit means for the crank.
pub(super) fn refused(error: StoreError) -> Result<Turn, StoreError> {
    match error {
        StoreError::Refused(Refused::Fenced { .. }) => Ok(Turn::Lost),
        // Two volumes that are one: whichever of the two is not what it is said to be, no guest may write to it.
        StoreError::Refused(Refused::NameTaken {
            table: Refused::IDENTITY,
            ..
        }) => Ok(Turn::Misled(Fault::unchanged(
            code::NONSENSE,
            "the storage shows the volume under an identity that another volume has",
        ))),
        StoreError::Refused(refusal) => {
            tracing::debug!(%refusal, "a step's commit was refused; reading the operation again");
            Ok(Turn::Reload)
        }
        other => Err(other),
    }
}

pub(super) fn cancelled() -> OperationError {
    OperationError {
        code: "cancelled".into(),
        message: "cancelled by a later request".into(),
    }
}

pub(super) fn pause(turn: Turn) -> Turn {
    if matches!(turn, Turn::On) {
        Turn::Pause
    } else {
        turn
    }
}

/// Reads the row again. Answers what to do if it is not ours to drive any more.
pub(super) async fn reload(engine: &Shared, operation: &mut Operation) -> Option<Next> {
    let due_at = engine
        .parts
        .clock
        .now()
        .plus_millis(engine.parts.limits.backoff_ms);
    match engine
        .parts
        .store
        .read()
        .operation(velum_model::tenancy::Scope::All, operation.id)
        .await
    {
        Ok(Some(found)) if found.state.has_ended() || found.state == OperationState::Parked => {
            Some(Next::Ended)
        }
        Ok(Some(found)) => {
            *operation = found;
            None
        }
        Ok(None) => Some(Next::Ended),
        Err(error) => {
            tracing::warn!(operation = %operation.id, error = &error as &dyn std::error::Error, "could not read the operation");
            operation.due_at = due_at;
            Some(Next::Later(Box::new(operation.clone())))
        }
    }
}
