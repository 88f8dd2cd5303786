//! Drives one operation as far as it goes now: intent, act, record; backwards when it must.

mod backward;
pub(crate) mod journal;
mod turn;

use serde_json::Value;
use velum_model::{
    fault::{Fault, code},
    operation::{Operation, OperationState, StepState},
};
use velum_store::{Change, Commit, OperationWrite, StoreError};

use crate::{
    act::rows::Seen,
    engine::Shared,
    kind,
    step::{Acted, Cx, Kind, Step, StepError, current},
};
use journal::{
    ended_event, exclude, excluded, is_past_pivot, mark_direction, must_park, parked_note, percent, record,
    records_job, set_last, subject_event,
};
use turn::{Turn, cancelled, pause, refused, reload};

/// What becomes of an operation in the engine.
pub(crate) enum Next {
    /// Nothing more to do here: it ended or is parked.
    Ended,
    /// Another server moves it on, or this one under a later epoch, from what the database holds.
    Lost,
    /// It is to be driven again when it is due.
    Later(Box<Operation>),
}

/// Drives `operation` until it ends or must wait.
pub(crate) async fn drive(engine: &Shared, mut operation: Operation) -> Next {
    let mut fresh_from_database = true;
    let seen = Seen::default();
    let Some(epoch) = engine.parts.store.epoch(operation.shard) else {
        return Next::Lost;
    };
    loop {
        // What is in hand was read under this epoch: under a later one somebody else may have moved the row on.
        if engine.parts.store.epoch(operation.shard) != Some(epoch) {
            return Next::Lost;
        }
        operation.cancel_requested |= engine.is_cancelled(operation.id);
        let mut run = Crank {
            engine,
            epoch,
            is_recovering: fresh_from_database,
            seen: &seen,
        };
        let recorded = operation.clone();
        let mut turned = run.turn(&mut operation).await;
        if let Ok(Turn::Misled(fault)) = turned {
            // Nothing of the step was recorded.
            operation = recorded.clone();
            turned = run.misled(&mut operation, fault).await;
        }
        fresh_from_database = false;
        match turned {
            Ok(Turn::On) => {}
            Ok(Turn::Pause) => return Next::Later(Box::new(operation)),
            Ok(Turn::End) => return Next::Ended,
            Ok(Turn::Lost) => {
                tracing::warn!(operation = %operation.id, "the shard has another owner: stopped working on it");
                return Next::Lost;
            }
            Ok(Turn::Reload | Turn::Misled(_)) => {
                operation = recorded;
                let refused_at = operation.generation;
                if let Some(next) = reload(engine, &mut operation).await {
                    return next;
                }
                // Nobody else has moved it on: what refuses it is another row, which gets some time to change.
                if operation.generation == refused_at {
                    let pause = engine.parts.limits.backoff_ms;
                    operation.due_at = engine.parts.clock.now().plus_millis(pause);
                    return Next::Later(Box::new(operation));
                }
                fresh_from_database = true;
            }
            Err(error) => {
                // What was not recorded is forgotten: while the database cannot be read, a journal that is kept in memory must
                // not be ahead of the rows, for the next commit would write it.
                operation = recorded;
                tracing::warn!(operation = %operation.id, error = &error as &dyn std::error::Error,
                    "could not record a step; trying again");
                operation.due_at = engine
                    .parts
                    .clock
                    .now()
                    .plus_millis(engine.parts.limits.backoff_ms);
                return match reload(engine, &mut operation).await {
                    Some(next) => next,
                    None => Next::Later(Box::new(operation)),
                };
            }
        }
    }
}

struct Crank<'a> {
    engine: &'a Shared,
    epoch: u64,
    is_recovering: bool,
    seen: &'a Seen,
}

impl Crank<'_> {
    async fn turn(&mut self, operation: &mut Operation) -> Result<Turn, StoreError> {
        let kind = kind::of(operation.kind);
        if kind.version != operation.version {
            let version = operation.version;
            let fault = Fault::unchanged(
                code::UNSUPPORTED,
                format!("version {version} of its steps is not known"),
            );
            return self.park(operation, kind, &fault).await;
        }
        match operation.state {
            OperationState::Running if operation.cancel_requested && !is_past_pivot(operation, kind) => {
                operation.state = OperationState::Undoing;
                operation.note = "cancelled".into();
                operation.error = Some(cancelled());
                self.record(operation, Vec::new()).await
            }
            OperationState::Running => self.forward(operation, kind).await,
            OperationState::Undoing => self.backward(operation, kind).await,
            OperationState::Done | OperationState::Undone | OperationState::Parked => Ok(Turn::End),
        }
    }

    async fn forward(&mut self, operation: &mut Operation, kind: &'static Kind) -> Result<Turn, StoreError> {
        let records = current(&operation.journal);
        let done = records.iter().filter(|r| r.state == StepState::Done).count();
        let Some(step) = kind.steps.get(done) else {
            return self.finish(operation, kind, Vec::new()).await;
        };
        if records.len() == done {
            return self.intend(operation, kind, step, Vec::new()).await;
        }
        let acted = {
            let cx = self.cx(operation, step, self.is_recovering);
            (step.act)(&cx).await
        };
        match acted {
            Ok(Acted::Done { output, changes }) => {
                set_last(operation, |record| {
                    record.state = StepState::Done;
                    record.output = output;
                    record.job = None;
                    record.fault = None;
                });
                operation.progress = percent(done + 1, kind.steps.len());
                match kind.steps.get(done + 1) {
                    Some(next) => self.intend(operation, kind, next, changes).await,
                    None => self.finish(operation, kind, changes).await,
                }
            }
            Ok(Acted::Working(job)) => {
                let now = self.engine.parts.clock.now();
                operation.due_at = now.plus_millis(u64::from(job.poll_after_ms));
                let is_known = records_job(operation, &job.token);
                if !job.note.is_empty() {
                    operation.note.clone_from(&job.note);
                }
                set_last(operation, |record| record.job = Some(job));
                // Only the token must be durable; progress alone is not worth a commit.
                if is_known {
                    return Ok(Turn::Pause);
                }
                self.record(operation, Vec::new()).await.map(pause)
            }
            Ok(Acted::Wait { after_ms, note }) => {
                operation.due_at = self.engine.parts.clock.now().plus_millis(after_ms);
                operation.note = note;
                Ok(Turn::Pause)
            }
            Err(StepError::Store(error)) => refused(error),
            Err(StepError::Fault(fault)) => self.failed(operation, kind, step, fault).await,
        }
    }

    /// Commits what a step changed together with the intent of the next one that has something to do.
    async fn intend(
        &self,
        operation: &mut Operation,
        kind: &'static Kind,
        step: &'static Step,
        mut changes: Vec<Change>,
    ) -> Result<Turn, StoreError> {
        let now = self.engine.parts.clock.now();
        let (mut step, acted) = (step, operation.journal.len());
        while let Some(output) = self.needless(operation, step).await? {
            operation.journal.push(record(step, StepState::Done, output, now));
            let done = current(&operation.journal).len();
            operation.progress = percent(done, kind.steps.len());
            match kind.steps.get(done) {
                Some(next) => step = next,
                None => return self.finish_with(operation, kind, changes, acted).await,
            }
        }
        // A destroy that came meanwhile is honoured before the next effect, and above all before the pivot.
        let is_stopped = self.engine.is_cancelled(operation.id) && !is_past_pivot(operation, kind);
        if !is_stopped {
            operation
                .journal
                .push(record(step, StepState::Intent, Value::Null, now));
            operation.note = step.note.into();
            if let Some(intend) = step.intend {
                let cx = self.cx(operation, step, false);
                match intend(&cx).await {
                    Ok(more) => changes.extend(more),
                    Err(StepError::Store(error)) => return refused(error),
                    Err(StepError::Fault(fault)) => {
                        operation.journal.pop();
                        tracing::warn!(operation = %operation.id, step = step.name, %fault, "a step could not be begun");
                        return self.undo_from(operation, kind, &fault, changes).await;
                    }
                }
            }
        }
        operation.due_at = now;
        self.record(operation, changes).await
    }

    /// What a step leaves that has nothing to do; none when it has, or cannot tell.
    async fn needless(
        &self,
        operation: &Operation,
        step: &'static Step,
    ) -> Result<Option<Value>, StoreError> {
        let Some(needless) = step.needless else {
            return Ok(None);
        };
        let cx = self.cx(operation, step, false);
        match needless(&cx).await {
            Ok(output) => Ok(output),
            Err(StepError::Store(error)) => Err(error),
            Err(StepError::Fault(_)) => Ok(None),
        }
    }

    /// The open step failed by what its far side answered.
    async fn misled(&self, operation: &mut Operation, fault: Fault) -> Result<Turn, StoreError> {
        let kind = kind::of(operation.kind);
        let records = current(&operation.journal);
        let open = records.iter().find(|record| record.state == StepState::Intent);
        let step = open.and_then(|record| kind.steps.iter().find(|step| step.name == record.step));
        match step {
            Some(step) if operation.state == OperationState::Running => {
                self.failed(operation, kind, step, fault).await
            }
            _ => Ok(Turn::Reload),
        }
    }

    async fn failed(
        &self,
        operation: &mut Operation,
        kind: &'static Kind,
        step: &'static Step,
        fault: Fault,
    ) -> Result<Turn, StoreError> {
        if fault.code == code::FENCED && !self.is_ours(operation).await {
            return Ok(Turn::Lost);
        }
        if fault.code == code::FENCED {
            tracing::error!(
                operation = %operation.id,
                %fault,
                "the far side knows a newer owner of this shard than the database does: was the database restored or copied, \
                 and does a server work on the other one? One of the two must be stopped"
            );
        }
        let limits = self.engine.parts.limits;
        let attempt = current(&operation.journal)
            .last()
            .map_or(0, |r| r.attempt)
            .saturating_add(1);
        tracing::warn!(operation = %operation.id, kind = operation.kind.as_str(), step = step.name, attempt, %fault, "a step failed");
        set_last(operation, |record| {
            record.attempt = attempt;
            record.fault = Some(fault.clone());
            record.job = None;
        });
        let is_past = is_past_pivot(operation, kind);
        let bound = if is_past {
            limits.attempts_after_pivot
        } else {
            limits.attempts_before_pivot
        };
        if fault.is_transient() && attempt < bound {
            operation.due_at = self.back_off(operation, attempt, fault.retry_after_ms);
            operation.note = format!("{}: trying again", step.note);
            return self.record(operation, Vec::new()).await.map(pause);
        }
        if is_past && must_park(operation, kind, &fault) {
            return self.park(operation, kind, &fault).await;
        }
        let tried = excluded(operation).len();
        if step.elsewhere_helps
            && tried < limits.elsewhere
            && !operation.cancel_requested
            && let Some(host) = self.host_of(operation).await?
        {
            exclude(operation, host);
            operation.note = "undoing, to try another compute host".into();
            operation.state = OperationState::Undoing;
            operation.error = None;
            return self.record(operation, Vec::new()).await;
        }
        self.undo_from(operation, kind, &fault, Vec::new()).await
    }

    async fn undo_from(
        &self,
        operation: &mut Operation,
        kind: &'static Kind,
        fault: &Fault,
        changes: Vec<Change>,
    ) -> Result<Turn, StoreError> {
        operation.state = OperationState::Undoing;
        operation.note = "undoing".into();
        operation.error = Some((kind.explain)(fault));
        self.record(operation, changes).await
    }

    async fn finish(
        &self,
        operation: &mut Operation,
        kind: &'static Kind,
        changes: Vec<Change>,
    ) -> Result<Turn, StoreError> {
        let acted = operation.journal.len();
        self.finish_with(operation, kind, changes, acted).await
    }

    /// All is done; `changes` are of the step whose record is the last of `acted`.
    async fn finish_with(
        &self,
        operation: &mut Operation,
        kind: &'static Kind,
        mut changes: Vec<Change>,
        acted: usize,
    ) -> Result<Turn, StoreError> {
        operation.cancel_requested |= self.engine.is_cancelled(operation.id);
        let more = {
            let cx = self.end_cx(operation);
            (kind.finish)(&cx).await
        };
        match more {
            Ok(more) => changes.extend(more),
            Err(StepError::Store(error)) => return refused(error),
            Err(StepError::Fault(fault)) => {
                // What the last step changed was not committed: it is to act again.
                operation.journal.truncate(acted);
                set_last(operation, |record| {
                    record.state = StepState::Intent;
                    record.fault = Some(fault.clone());
                });
                return self.park(operation, kind, &fault).await;
            }
        }
        operation.progress = 100;
        self.end(operation, OperationState::Done, changes).await
    }

    async fn end(
        &self,
        operation: &mut Operation,
        state: OperationState,
        changes: Vec<Change>,
    ) -> Result<Turn, StoreError> {
        operation.state = state;
        operation.note = state.as_str().into();
        operation.ended_at = Some(self.engine.parts.clock.now());
        let mut commit = self.commit_of(operation, changes);
        commit.events.push(ended_event(operation));
        commit.events.push(subject_event(operation));
        let turn = self.send(operation, commit).await?;
        Ok(if matches!(turn, Turn::On) { Turn::End } else { turn })
    }

    async fn park(
        &self,
        operation: &mut Operation,
        kind: &'static Kind,
        fault: &Fault,
    ) -> Result<Turn, StoreError> {
        tracing::error!(operation = %operation.id, kind = operation.kind.as_str(), %fault, "an operation is parked: its claims are held until the operator decides");
        mark_direction(operation);
        operation.note = parked_note(operation);
        operation.state = OperationState::Parked;
        operation.error = Some((kind.explain)(fault));
        let mut commit = self.commit_of(operation, (kind.park)(operation));
        commit.events.push(ended_event(operation));
        let turn = self.send(operation, commit).await?;
        Ok(if matches!(turn, Turn::On) { Turn::End } else { turn })
    }

    async fn record(&self, operation: &mut Operation, changes: Vec<Change>) -> Result<Turn, StoreError> {
        let commit = self.commit_of(operation, changes);
        self.send(operation, commit).await
    }

    async fn send(&self, operation: &mut Operation, commit: Commit) -> Result<Turn, StoreError> {
        match self.engine.commit(commit).await {
            Ok(_) => {
                operation.generation += 1;
                Ok(Turn::On)
            }
            Err(error) => refused(error),
        }
    }

    fn commit_of(&self, operation: &mut Operation, changes: Vec<Change>) -> Commit {
        operation.epoch = self.epoch;
        Commit {
            fence: Some((operation.shard, self.epoch)),
            operation: Some(OperationWrite::Update(Box::new(operation.clone()))),
            changes,
            ..Commit::default()
        }
    }

    /// Whether the shard is still owned under the epoch that is worked under, asked of the database.
    async fn is_ours(&self, operation: &Operation) -> bool {
        let store = &self.engine.parts.store;
        store.still_owns(operation.shard, self.epoch).await
    }

    fn cx<'a>(&'a self, operation: &'a Operation, step: &'static Step, is_recovering: bool) -> Cx<'a> {
        let record = current(&operation.journal)
            .iter()
            .rev()
            .find(|r| r.step == step.name);
        Cx {
            engine: self.engine,
            operation,
            step: step.name,
            attempt: record.map_or(0, |r| r.attempt),
            job: record.and_then(|r| r.job.as_ref()),
            is_recovering: is_recovering || record.is_some_and(|r| r.attempt > 0),
            epoch: self.epoch,
            seen: self.seen,
        }
    }

    fn end_cx<'a>(&'a self, operation: &'a Operation) -> Cx<'a> {
        Cx {
            engine: self.engine,
            operation,
            step: "end",
            attempt: 0,
            job: None,
            is_recovering: false,
            epoch: self.epoch,
            seen: self.seen,
        }
    }

    /// Doubles with each attempt up to 64 times, and is spread by up to a quarter so that many do not come at once.
    fn back_off(&self, operation: &Operation, attempt: u16, wished: Option<u32>) -> velum_model::Timestamp {
        let base = self.engine.parts.limits.backoff_ms << attempt.saturating_sub(1).min(6);
        let spread = (operation.id.uuid().as_u128() as u64 ^ self.engine.parts.ids.seed()) % (base / 4 + 1);
        let wait = wished.map_or(base, |ms| u64::from(ms).max(base)) + spread;
        self.engine.parts.clock.now().plus_millis(wait)
    }
}
