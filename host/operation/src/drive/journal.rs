//! What an operation's row says, read and written: its journal, its arguments, its events.

use serde_json::{Value, json};
use velum_model::{
    Timestamp,
    fault::Fault,
    id::*,
    operation::{Operation, OperationState, StepRecord, StepState},
};
use velum_store::NewEvent;

use crate::step::{ELSEWHERE, Kind, Step, TurnsBack, current};

pub(super) fn set_last(operation: &mut Operation, change: impl FnOnce(&mut StepRecord)) {
    if let Some(record) = operation.journal.last_mut() {
        change(record);
    }
}

pub(super) fn set_at(operation: &mut Operation, index: usize, change: impl FnOnce(&mut StepRecord)) {
    if let Some(record) = operation.journal.get_mut(index) {
        change(record);
    }
}

pub(super) fn records_job(operation: &Operation, token: &str) -> bool {
    operation
        .journal
        .last()
        .and_then(|r| r.job.as_ref())
        .is_some_and(|job| job.token == token)
}

pub(super) fn percent(done: usize, all: usize) -> u8 {
    u8::try_from(done * 100 / all.max(1)).unwrap_or(100).min(99)
}

/// Whether the pivot's intent is on record and it is not certain that it changed nothing. A kind that never turns back is
/// past it from its accept on.
pub(crate) fn is_past_pivot(operation: &Operation, kind: &Kind) -> bool {
    matches!(kind.turns_back, TurnsBack::Never(_))
        || current(&operation.journal).iter().any(|record| {
            let is_pivot = kind.steps.iter().any(|s| s.is_pivot && s.name == record.step);
            let did_nothing =
                record.state == StepState::Intent && record.fault.as_ref().is_some_and(|f| f.unchanged);
            is_pivot && !did_nothing
        })
}

/// Whether what failed past the pivot waits for the operator: it may have acted, or there is no way back.
pub(super) fn must_park(operation: &Operation, kind: &Kind, fault: &Fault) -> bool {
    let has_done_pivot = current(&operation.journal)
        .iter()
        .any(|r| r.state == StepState::Done && kind.steps.iter().any(|s| s.is_pivot && s.name == r.step));
    !fault.unchanged || has_done_pivot || matches!(kind.turns_back, TurnsBack::Never(_))
}

/// Compute hosts on which it failed, as its arguments carry them.
pub(super) fn excluded(operation: &Operation) -> Vec<ComputeHostId> {
    let listed = operation.params.get("excluded").cloned().unwrap_or_default();
    serde_json::from_value(listed).unwrap_or_default()
}

pub(super) fn exclude(operation: &mut Operation, host: ComputeHostId) {
    let mut hosts = excluded(operation);
    hosts.push(host);
    if let Some(params) = operation.params.as_object_mut() {
        params.insert("excluded".into(), json!(hosts));
    }
}

/// The run in its arguments.
pub(crate) fn run_of(operation: &Operation) -> Option<RunId> {
    operation
        .params
        .get("run")
        .and_then(|v| serde_json::from_value(v.clone()).ok())
}

pub(crate) fn ended_event(operation: &Operation) -> NewEvent {
    NewEvent {
        kind: format!("operation.{}", operation.state.as_str()),
        project: operation.project,
        collection: "operations",
        resource: operation.id.uuid(),
        operation: Some(operation.id),
        caller: operation.caller.clone(),
        data: json!({ "kind": operation.kind.as_str(), "error": operation.error }),
    }
}

pub(super) fn subject_event(operation: &Operation) -> NewEvent {
    NewEvent {
        kind: format!("{}.{}", operation.kind.as_str(), operation.state.as_str()),
        project: operation.project,
        collection: operation.subject.collection(),
        resource: operation.subject.uuid(),
        operation: Some(operation.id),
        caller: operation.caller.clone(),
        data: Value::Null,
    }
}

/// A step's new record.
pub(super) fn record(step: &Step, state: StepState, output: Value, at: Timestamp) -> StepRecord {
    StepRecord {
        step: step.name.into(),
        state,
        attempt: 0,
        output,
        job: None,
        fault: None,
        asserted: None,
        at,
    }
}

pub(super) fn marker(at: Timestamp, fault: &Fault) -> StepRecord {
    StepRecord {
        step: ELSEWHERE.into(),
        state: StepState::Done,
        attempt: 0,
        output: Value::Null,
        job: None,
        fault: Some(fault.clone()),
        asserted: None,
        at,
    }
}

/// An operator's verb reads from the journal which way a parked operation went: what was being undone says so, even if its
/// undo has not begun.
pub(super) fn mark_direction(operation: &mut Operation) {
    if operation.state != OperationState::Undoing {
        return;
    }
    let records = current(&operation.journal);
    let start = operation.journal.len() - records.len();
    if let Some(at) = records.iter().rposition(|r| r.state != StepState::Undone) {
        set_at(operation, start + at, |record| {
            record.state = StepState::UndoIntent
        });
    }
}

/// What a parked operation says of itself, for people.
pub(super) fn parked_note(operation: &Operation) -> String {
    let records = current(&operation.journal);
    let open = records
        .iter()
        .rev()
        .find(|r| matches!(r.state, StepState::Intent | StepState::UndoIntent));
    match open {
        Some(r) if r.state == StepState::Intent => format!("parked at {}: the operator decides", r.step),
        Some(r) => format!("parked while undoing {}: the operator decides", r.step),
        None => "parked: the operator decides".into(),
    }
}
