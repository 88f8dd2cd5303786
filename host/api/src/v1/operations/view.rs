//! An operation as it is shown.

use velum_model::{
    operation::{Operation, OperationState, StepRecord, StepState},
    tenancy::{Caller, Scope},
};
use velum_service::StoredAnswer;
use velum_wire::{AssertionView, OperationErrorView, OperationView, StepView, SubjectView};

use crate::answer;

/// 202: it goes on, as an operator wants. Only the administrator is answered this.
pub fn accepted(operation: &Operation) -> StoredAnswer {
    answer::accepted(
        operation.id,
        operation.generation,
        &view_for(operation.clone(), Scope::All),
    )
}

/// An operation as it is shown to a caller: only the administrator sees what the far side said.
pub fn view(operation: Operation, caller: &Caller) -> OperationView {
    view_for(operation, caller.scope)
}

fn view_for(operation: Operation, scope: Scope) -> OperationView {
    let subject = operation.subject;
    OperationView {
        id: operation.id.uuid(),
        kind: operation.kind.as_str().to_owned(),
        project_id: operation.project.uuid(),
        subject: SubjectView {
            collection: subject.collection().to_owned(),
            id: subject.uuid(),
            link: format!("/v1/{}/{}", subject.collection(), subject.uuid()),
        },
        state: state(operation.state),
        progress_percent: operation.progress.min(100),
        note: operation.note,
        steps: operation
            .journal
            .into_iter()
            .map(|record| step(record, scope))
            .collect(),
        error: operation.error.map(|error| OperationErrorView {
            code: error.code,
            message: error.message,
        }),
        caller: operation.caller,
        cancel_requested: operation.cancel_requested,
        generation: operation.generation,
        created_at: operation.created_at.to_string(),
        ended_at: operation.ended_at.map(|at| at.to_string()),
    }
}

fn step(record: StepRecord, scope: Scope) -> StepView {
    StepView {
        step: record.step,
        state: match record.state {
            StepState::Intent => velum_wire::StepState::Intent,
            StepState::Done => velum_wire::StepState::Done,
            StepState::UndoIntent => velum_wire::StepState::UndoIntent,
            StepState::Undone => velum_wire::StepState::Undone,
        },
        attempt: record.attempt,
        note: record.job.map(|job| job.note).filter(|note| !note.is_empty()),
        fault: record
            .fault
            .filter(|_| scope == Scope::All)
            .map(|fault| fault.to_string()),
        asserted: record
            .asserted
            .filter(|_| scope == Scope::All)
            .map(|word| AssertionView {
                by: word.by,
                reason: word.reason,
                at: word.at.to_string(),
            }),
        at: record.at.to_string(),
    }
}

const fn state(state: OperationState) -> velum_wire::OperationState {
    match state {
        OperationState::Running => velum_wire::OperationState::Running,
        OperationState::Undoing => velum_wire::OperationState::Undoing,
        OperationState::Done => velum_wire::OperationState::Done,
        OperationState::Undone => velum_wire::OperationState::Undone,
        OperationState::Parked => velum_wire::OperationState::Parked,
    }
}
