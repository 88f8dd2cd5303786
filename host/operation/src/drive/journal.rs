//! What an operation's row says, read and written: its journal, its arguments, its events.

use serde_json::{Value, json};
use velum_model::{
    fault::Fault,
    id::*,
    operation::{Operation, StepRecord, StepState},
};
use velum_store::NewEvent;

use crate::step::{ELSEWHERE, Kind, current};

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

/// Whether the pivot's intent is on record and it is not certain that it changed nothing.
pub(super) fn is_past_pivot(operation: &Operation, kind: &Kind) -> bool {
    current(&operation.journal).iter().any(|record| {
        let is_pivot = kind.steps.iter().any(|s| s.is_pivot && s.name == record.step);
        let did_nothing =
            record.state == StepState::Intent && record.fault.as_ref().is_some_and(|f| f.unchanged);
        is_pivot && !did_nothing
    })
}

pub(super) fn has_done_pivot(operation: &Operation, kind: &Kind) -> bool {
    current(&operation.journal)
        .iter()
        .any(|r| r.state == StepState::Done && kind.steps.iter().any(|s| s.is_pivot && s.name == r.step))
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
pub(super) fn run_of(operation: &Operation) -> Option<RunId> {
    operation
        .params
        .get("run")
        .and_then(|v| serde_json::from_value(v.clone()).ok())
}

pub(super) fn ended_event(operation: &Operation) -> NewEvent {
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

pub(super) fn marker(at: velum_model::Timestamp, fault: &Fault) -> StepRecord {
    StepRecord {
        step: ELSEWHERE.into(),
        state: StepState::Done,
        attempt: 0,
        output: Value::Null,
        job: None,
        fault: Some(fault.clone()),
        at,
    }
}
