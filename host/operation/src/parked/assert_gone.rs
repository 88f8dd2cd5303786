//! `assert-gone`: the operator's word that what could not be reached is gone for good.

use velum_model::operation::{Assertion, Operation, OperationState, StepState};
use velum_store::Reader;

use super::{NotResumed, Parked, Resumed, Word};

/// Takes the open step as done, or its undo as undone, without asking the far side: what it would have taken away is gone,
/// says the operator. The word stands in the step's record. It is a fence proof (law 8): another guest may run from then
/// on, so only what takes away can be asserted, and one step at a time.
///
/// # Errors
/// It is not parked, another operation has taken over, it waits for no step or for one that makes something, its steps
/// are of another version, or rows cannot be read.
pub async fn assert_gone(reader: &Reader, operation: Operation, word: &Word) -> Result<Resumed, NotResumed> {
    let mut parked = Parked::read(reader, operation).await?;
    parked.check_version()?;
    let steps = parked.kind.steps;
    let Some(record) = parked.open() else {
        return Err(NotResumed::because(
            "it waits for nothing at the far side; retry it",
        ));
    };
    let Some(step) = steps.iter().find(|step| step.name == record.step) else {
        return Err(NotResumed::because(format!(
            "this server does not know its step {}",
            record.step
        )));
    };
    let is_undo = record.state == StepState::UndoIntent;
    if !is_undo && !step.takes_away {
        return Err(NotResumed::because(format!(
            "its step {} makes something, which a word cannot: retry the operation, or undo it and say then what is gone",
            step.name
        )));
    }
    record.state = if is_undo {
        StepState::Undone
    } else {
        StepState::Done
    };
    record.attempt = 0;
    record.job = None;
    record.at = word.at;
    record.asserted = Some(Assertion {
        by: word.by.clone(),
        reason: word.reason.clone(),
        at: word.at,
    });
    let rows = match step.rows_without {
        Some(rows) => rows(reader, &parked.operation).await.map_err(unread)?,
        None => Vec::new(),
    };
    let state = if is_undo {
        OperationState::Undoing
    } else {
        OperationState::Running
    };
    let mut resumed = parked.resume(
        state,
        &format!("going on without {}, as an operator says", step.name),
        word.at,
    );
    resumed.changes.extend(rows);
    resumed.step = Some(step.name.into());
    Ok(resumed)
}

fn unread(error: crate::step::StepError) -> NotResumed {
    match error {
        crate::step::StepError::Store(error) => NotResumed::Store(error),
        crate::step::StepError::Fault(fault) => NotResumed::because(fault.detail),
    }
}
