//! Rows of operations.

use velum_model::operation::Operation;

use super::{RowValues, bare, hex, row, text};

pub(crate) fn insert(operation: &Operation) -> RowValues {
    row!({
        "id": hex(operation.id), "kind": operation.kind.as_str(), "version": operation.version,
        "shard": hex(operation.shard), "epoch": operation.epoch, "project": hex(operation.project),
        "subject_kind": operation.subject.collection(), "subject": bare(operation.subject.uuid()),
        "state": operation.state.as_str(), "params": text(&operation.params), "journal": text(&operation.journal),
        "progress": operation.progress, "note": operation.note, "error": operation.error.as_ref().map(text),
        "caller": operation.caller, "due_at": operation.due_at,
        "cancel_requested": u8::from(operation.cancel_requested), "generation": operation.generation,
        "created_at": operation.created_at, "ended_at": operation.ended_at,
    })
}

pub(crate) fn update(operation: &Operation) -> RowValues {
    row!({
        "id": hex(operation.id), "seen": operation.generation, "epoch": operation.epoch,
        "version": operation.version, "state": operation.state.as_str(), "params": text(&operation.params),
        "journal": text(&operation.journal), "progress": operation.progress, "note": operation.note,
        "error": operation.error.as_ref().map(text), "due_at": operation.due_at, "ended_at": operation.ended_at,
    })
}
