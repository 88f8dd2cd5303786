//! Backwards: undo what was done, last first; then on to another compute host, or the claims go.

use serde_json::json;
use velum_model::{
    fault::{Fault, code},
    id::*,
    operation::{Operation, OperationError, OperationState, StepState},
};
use velum_store::StoreError;

use super::{
    Crank, Turn, cancelled,
    journal::{excluded, marker, run_of, set_at},
    pause, refused,
};
use crate::{
    ReplanAsk,
    step::{Kind, StepError, current},
};

impl Crank<'_> {
    pub(super) async fn backward(
        &mut self,
        operation: &mut Operation,
        kind: &'static Kind,
    ) -> Result<Turn, StoreError> {
        let records = current(&operation.journal);
        let open = records.iter().rposition(|r| r.state != StepState::Undone);
        let Some(at) = open else {
            return self.undone(operation, kind).await;
        };
        let start = operation.journal.len() - records.len();
        let Some(step) = records
            .get(at)
            .and_then(|r| kind.steps.iter().find(|s| s.name == r.step))
        else {
            let fault = Fault::unchanged(code::UNSUPPORTED, "a step of its journal is not known");
            return self.park(operation, kind, &fault).await;
        };
        let index = start + at;
        let Some(undo) = step.undo else {
            set_at(operation, index, |record| record.state = StepState::Undone);
            return Ok(Turn::On);
        };
        if operation
            .journal
            .get(index)
            .is_some_and(|r| r.state != StepState::UndoIntent)
        {
            set_at(operation, index, |record| {
                record.state = StepState::UndoIntent;
                record.attempt = 0;
            });
            let turn = self.record(operation, Vec::new()).await?;
            if !matches!(turn, Turn::On) {
                return Ok(turn);
            }
        }
        let undone = {
            let cx = self.cx(operation, step, true);
            undo(&cx).await
        };
        match undone {
            Ok(changes) => {
                let now = self.engine.parts.clock.now();
                set_at(operation, index, |record| {
                    record.state = StepState::Undone;
                    record.job = None;
                    record.at = now;
                });
                self.record(operation, changes).await
            }
            Err(StepError::Store(error)) => refused(error),
            Err(StepError::Fault(fault)) => {
                if fault.code == code::FENCED && !self.is_ours(operation).await {
                    return Ok(Turn::Lost);
                }
                let attempt = operation
                    .journal
                    .get(index)
                    .map_or(0, |r| r.attempt)
                    .saturating_add(1);
                tracing::warn!(operation = %operation.id, step = step.name, attempt, %fault, "an undo failed");
                // What is not granted will not be granted by waiting.
                if fault.code == code::DENIED || attempt >= self.engine.parts.limits.attempts_after_pivot {
                    return self.park(operation, kind, &fault).await;
                }
                set_at(operation, index, |record| {
                    record.attempt = attempt;
                    record.fault = Some(fault.clone());
                });
                operation.due_at = self.back_off(operation, attempt, fault.retry_after_ms);
                self.record(operation, Vec::new()).await.map(pause)
            }
        }
    }

    /// All is undone: on to another compute host, or the claims go.
    async fn undone(&self, operation: &mut Operation, kind: &'static Kind) -> Result<Turn, StoreError> {
        if operation.cancel_requested && operation.error.is_none() {
            operation.error = Some(cancelled());
        }
        if operation.error.is_none() && !excluded(operation).is_empty() {
            if let Some(turn) = self.elsewhere(operation).await? {
                return Ok(turn);
            }
            operation.error = Some(OperationError {
                code: "no-capacity".into(),
                message: "an attempt on a compute host failed, and no other one has room".into(),
            });
        }
        let changes = {
            let cx = self.end_cx(operation);
            match (kind.abort)(&cx).await {
                Ok(changes) => changes,
                Err(StepError::Store(error)) => return refused(error),
                Err(StepError::Fault(fault)) => return self.park(operation, kind, &fault).await,
            }
        };
        self.end(operation, OperationState::Undone, changes).await
    }

    async fn elsewhere(&self, operation: &mut Operation) -> Result<Option<Turn>, StoreError> {
        let Some(ask) = self.replan_ask(operation).await? else {
            return Ok(None);
        };
        let Some(replacement) = self.engine.parts.replan.elsewhere(ask).await else {
            return Ok(None);
        };
        let now = self.engine.parts.clock.now();
        let last = Fault::new(code::FAILED, "an attempt on another compute host failed");
        operation.journal.push(marker(now, &last));
        if let Some(params) = operation.params.as_object_mut() {
            params.insert("run".into(), json!(replacement.run.id));
        }
        operation.state = OperationState::Running;
        operation.note = "trying another compute host".into();
        operation.due_at = now;
        let mut commit = self.commit_of(operation, replacement.changes.clone());
        commit.decision = Some(replacement.decision.clone());
        match self.engine.commit(commit).await {
            Ok(_) => {
                operation.generation += 1;
                // Its root volume may be of another pool from here on.
                self.seen.forget_volumes();
                Ok(Some(Turn::On))
            }
            Err(error) => {
                self.engine.parts.replan.give_back(&replacement);
                refused(error).map(Some)
            }
        }
    }

    /// The compute host of the run that the operation is about.
    pub(super) async fn host_of(&self, operation: &Operation) -> Result<Option<ComputeHostId>, StoreError> {
        let Some(run) = run_of(operation) else {
            return Ok(None);
        };
        Ok(self
            .engine
            .parts
            .store
            .read()
            .run(run)
            .await?
            .map(|run| run.compute_host))
    }

    async fn replan_ask(&self, operation: &Operation) -> Result<Option<ReplanAsk>, StoreError> {
        let velum_model::operation::Subject::Instance(instance) = operation.subject else {
            return Ok(None);
        };
        let Some(run) = run_of(operation) else {
            return Ok(None);
        };
        let volumes = self.engine.parts.store.read().volumes_of(instance).await?;
        let unmade_root = volumes
            .into_iter()
            .find(|v| v.state == velum_model::storage::VolumeState::Creating);
        Ok(Some(ReplanAsk {
            instance,
            failed_run: run,
            excluded: excluded(operation),
            unmade_root,
        }))
    }
}
