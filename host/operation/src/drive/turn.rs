//! What one turn of the crank comes to.

use velum_model::{
    fault::{Fault, code},
    operation::OperationError,
};
use velum_store::{Refused, StoreError};

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
