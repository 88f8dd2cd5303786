//! `retry`: the step that failed is tried again, forward or backwards as it went.

use velum_model::operation::{Operation, OperationState};
use velum_store::Reader;

use super::{NotResumed, Parked, Resumed, Word};

/// Goes on from the step that failed, with its attempts counted anew. One that was being undone goes on being undone, and
/// ends undone: after an undo that got stuck it is not tried on another compute host.
///
/// # Errors
/// It is not parked, another operation has taken over, or rows cannot be read.
pub async fn retry(reader: &Reader, operation: Operation, word: &Word) -> Result<Resumed, NotResumed> {
    let parked = Parked::read(reader, operation).await?;
    let (state, note) = if parked.was_undoing() {
        (OperationState::Undoing, "undoing again, as an operator wants")
    } else {
        (OperationState::Running, "trying again, as an operator wants")
    };
    Ok(parked.resume(state, note, word.at))
}
