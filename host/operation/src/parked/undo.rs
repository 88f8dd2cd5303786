//! `undo`: backwards from where it is, also past the pivot where the kind has a way back.

use velum_model::operation::{Operation, OperationError, OperationState};
use velum_store::Reader;

use super::{NotResumed, Parked, Resumed, Word};
use crate::{drive::journal::is_past_pivot, step::TurnsBack};

/// Undoes what was done, last step first; steps without an undo are passed over. Past the pivot that takes away what a
/// guest or tenant may have seen: a create leaves nothing, a start a stopped instance, an attach a free volume; a reboot
/// is given up, and the guest stays as it is.
///
/// # Errors
/// It is not parked, another operation has taken over, its kind has no way back from there, its steps are of another
/// version, or rows cannot be read.
pub async fn undo(reader: &Reader, operation: Operation, word: &Word) -> Result<Resumed, NotResumed> {
    let mut parked = Parked::read(reader, operation).await?;
    parked.check_version()?;
    let is_past = is_past_pivot(&parked.operation, parked.kind);
    match parked.kind.turns_back {
        TurnsBack::Never(why) | TurnsBack::BeforePivot(why) if is_past && !parked.was_undoing() => {
            let kind = parked.operation.kind.as_str();
            return Err(NotResumed::because(format!(
                "{kind} only goes forward from here: {why}"
            )));
        }
        _ => {}
    }
    parked.operation.error = Some(OperationError {
        code: "cancelled".into(),
        message: "undone by an operator".into(),
    });
    Ok(parked.resume(OperationState::Undoing, "undoing, as an operator wants", word.at))
}
