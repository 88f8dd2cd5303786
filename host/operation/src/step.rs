//! Steps, and what one is given when it runs.

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;
use velum_model::{
    chance::derived,
    fault::{Fault, code},
    instance::InstanceState,
    operation::{Operation, OperationError, StepRecord},
    port::target::{Call, Effect, Fence, Job, Outcome, Target},
};
use velum_store::{Change, Reader, StoreError};

use crate::{act::rows::Seen, engine::Shared};

/// What a step answered.
#[derive(Debug)]
pub(crate) enum Acted {
    /// It is so. The changes are committed with the record.
    Done {
        /// Kept in the record for later steps.
        output: Value,
        /// Rows that change with it.
        changes: Vec<Change>,
    },
    /// It goes on at the far side; ask again by its token.
    Working(Job),
    /// Something else must happen first; nothing is recorded.
    Wait {
        /// Ask again after so many milliseconds.
        after_ms: u64,
        /// What is waited for.
        note: String,
    },
}

impl Acted {
    /// Done without output or changes.
    pub(crate) const fn done() -> Self {
        Self::Done {
            output: Value::Null,
            changes: Vec::new(),
        }
    }

    /// Done with changes.
    pub(crate) const fn changing(changes: Vec<Change>) -> Self {
        Self::Done {
            output: Value::Null,
            changes,
        }
    }

    /// A port's outcome; `changes` apply when it is done.
    pub(crate) fn from_outcome(outcome: Outcome, changes: Vec<Change>) -> Self {
        match outcome {
            Outcome::Done(_) => Self::Done {
                output: Value::Null,
                changes,
            },
            Outcome::Working(job) => Self::Working(job),
        }
    }
}

/// Why a step did not come to an end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// The far side, a plugin or a node.
    #[error("the step failed")]
    Fault(#[from] Fault),
    /// The database.
    #[error("the step could not read or write")]
    Store(#[from] StoreError),
}

impl StepError {
    /// A row that must be there is not: the step cannot succeed here.
    pub(crate) fn missing(what: &str, id: impl std::fmt::Display) -> Self {
        Self::Fault(Fault::unchanged(code::NOT_FOUND, format!("{what} {id} is gone")))
    }
}

pub(crate) type StepFuture<'a, T> = BoxFuture<'a, Result<T, StepError>>;

/// Acts on the outside, or waits.
pub(crate) type ActFn = for<'a> fn(&'a Cx<'a>) -> StepFuture<'a, Acted>;
/// Answers rows that change.
pub(crate) type ChangeFn = for<'a> fn(&'a Cx<'a>) -> StepFuture<'a, Vec<Change>>;
/// Answers what the step would leave, when it has nothing to do at any far side.
pub(crate) type NeedlessFn = for<'a> fn(&'a Cx<'a>) -> StepFuture<'a, Option<Value>>;
/// Answers rows that change without the far side.
pub(crate) type RowsFn = for<'a> fn(&'a Reader, &'a Operation) -> StepFuture<'a, Vec<Change>>;

/// A step of a kind: a row of its table.
pub(crate) struct Step {
    /// Stored in the journal; never renamed.
    pub(crate) name: &'static str,
    /// What is going on, for people.
    pub(crate) note: &'static str,
    /// The first effect that a guest or tenant can see: from its intent on the operation only goes forward.
    pub(crate) is_pivot: bool,
    /// Whether a failure may be cured on another compute host.
    pub(crate) elsewhere_helps: bool,
    /// Rows that must be there before the far side is told (law 4), committed with the intent.
    pub(crate) intend: Option<ChangeFn>,
    /// Whether there is nothing to do at a far side: then it is on record as done together with the intent of the next step, and
    /// costs no commit of its own.
    pub(crate) needless: Option<NeedlessFn>,
    /// May run twice.
    pub(crate) act: ActFn,
    /// May run twice, may find nothing. Answers the rows that go with it.
    pub(crate) undo: Option<ChangeFn>,
    /// It takes something away: an operator may say that it is gone. What makes something cannot be done by a word.
    pub(crate) takes_away: bool,
    /// Rows that go when the operator says that what the step takes away, or what its undo would, is gone.
    pub(crate) rows_without: Option<RowsFn>,
}

impl Step {
    /// A step with neither undo nor special place.
    pub(crate) const fn plain(name: &'static str, note: &'static str, act: ActFn) -> Self {
        Self {
            name,
            note,
            is_pivot: false,
            elsewhere_helps: false,
            intend: None,
            needless: None,
            act,
            undo: None,
            takes_away: false,
            rows_without: None,
        }
    }

    pub(crate) const fn pivot(mut self) -> Self {
        self.is_pivot = true;
        self
    }

    pub(crate) const fn elsewhere(mut self) -> Self {
        self.elsewhere_helps = true;
        self
    }

    pub(crate) const fn undone_by(mut self, undo: ChangeFn) -> Self {
        self.undo = Some(undo);
        self
    }

    pub(crate) const fn taking_away(mut self) -> Self {
        self.takes_away = true;
        self
    }

    pub(crate) const fn without(mut self, rows: RowsFn) -> Self {
        self.rows_without = Some(rows);
        self
    }

    pub(crate) const fn needless_if(mut self, needless: NeedlessFn) -> Self {
        self.needless = Some(needless);
        self
    }

    pub(crate) const fn intending(mut self, intend: ChangeFn) -> Self {
        self.intend = Some(intend);
        self
    }
}

/// Whether an operation can be undone once its pivot's intent is on record. By itself it never is; an operator may take the
/// responsibility.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TurnsBack {
    /// Its undos and its abort lead back from everywhere.
    Always,
    /// Past the pivot the rows could no longer say what is: why, and what to do instead.
    BeforePivot(&'static str),
    /// It takes away bit by bit what nothing can bring back: why, and what to do instead.
    Never(&'static str),
}

/// A kind of operation: its steps, and what becomes of the rows at each of its ends.
pub(crate) struct Kind {
    /// Version of the table; a stored operation of another one is parked, not misread.
    pub(crate) version: u16,
    /// The steps, in order.
    pub(crate) steps: &'static [Step],
    /// Rows that change when all steps are done.
    pub(crate) finish: ChangeFn,
    /// Rows that change when all is undone: the claims go.
    pub(crate) abort: ChangeFn,
    /// Rows that change when it is parked; claims stay.
    pub(crate) park: fn(&Operation) -> Vec<Change>,
    /// What its instance is while it works, and again when the operator lets it go on.
    pub(crate) instance_is: Option<InstanceState>,
    /// How far it can be undone.
    pub(crate) turns_back: TurnsBack,
    /// What a tenant is told when `fault` ended it.
    pub(crate) explain: fn(&Fault) -> OperationError,
}

/// What a step is given.
pub(crate) struct Cx<'a> {
    /// Ports, store, clock.
    pub(crate) engine: &'a Shared,
    /// The operation as it is in the database.
    pub(crate) operation: &'a Operation,
    /// The step's name.
    pub(crate) step: &'static str,
    /// How often it was tried before.
    pub(crate) attempt: u16,
    /// Long work that goes on.
    pub(crate) job: Option<&'a Job>,
    /// Found in `Intent` by a process that did not write it: look before you act.
    pub(crate) is_recovering: bool,
    /// The epoch under which the shard is owned.
    pub(crate) epoch: u64,
    /// Rows that an earlier step of the same drive has read.
    pub(crate) seen: &'a Seen,
}

/// How long a call of a driver or provider may take before its plugin is given up: longer than libvirt's own slowest
/// define and an array's slowest synchronous create; what takes longer answers with a token.
const CALL_DEADLINE_MS: u32 = 30_000;

impl Cx<'_> {
    /// The operation's arguments.
    pub(crate) fn params<T: DeserializeOwned>(&self) -> Result<T, StepError> {
        serde_json::from_value(self.operation.params.clone()).map_err(|problem| {
            StepError::Fault(Fault::unchanged(
                code::INVALID,
                format!("the operation's arguments do not read: {problem}"),
            ))
        })
    }

    /// What an earlier step of this incarnation left.
    pub(crate) fn output(&self, step: &str) -> Option<&Value> {
        current(&self.operation.journal)
            .iter()
            .rev()
            .find(|r| r.step == step)
            .map(|r| &r.output)
    }

    /// The fence of an effect on `object`.
    pub(crate) fn fence(&self, object: Uuid, generation: u64) -> Fence {
        Fence {
            shard: self.operation.shard.uuid(),
            epoch: self.epoch,
            object,
            generation,
        }
    }

    /// The identity of this step's effect in a role. An attempt elsewhere has effects of its own: far sides remember what
    /// they did, and would answer the volume that was made for the attempt before, and removed since.
    pub(crate) fn effect(&self, role: &str) -> Effect {
        let name = effect_name(&self.operation.journal, self.step, role);
        Effect {
            id: derived(self.operation.id.uuid(), &name),
            attempt: self.attempt,
            deadline_ms: CALL_DEADLINE_MS,
        }
    }

    /// A call of a driver or provider.
    pub(crate) fn call(&self, target: Target, object: Uuid, generation: u64, role: &str) -> Call {
        Call {
            target,
            fence: self.fence(object, generation),
            effect: self.effect(role),
        }
    }
}

/// The name under which an attempt elsewhere is marked in the journal.
pub(crate) const ELSEWHERE: &str = "elsewhere";

/// What an effect is called within its operation.
fn effect_name(journal: &[StepRecord], step: &str, role: &str) -> String {
    match journal.iter().filter(|r| r.step == ELSEWHERE).count() {
        0 => format!("{step}/{role}"),
        moves => format!("{step}/{role}/{moves}"),
    }
}

/// The records of the present incarnation: those after the last attempt elsewhere.
pub(crate) fn current(journal: &[StepRecord]) -> &[StepRecord] {
    let start = journal
        .iter()
        .rposition(|r| r.step == ELSEWHERE)
        .map_or(0, |at| at + 1);
    journal.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use velum_model::{
        Timestamp,
        operation::{StepRecord, StepState},
    };

    use super::{ELSEWHERE, effect_name};

    #[test]
    fn an_attempt_elsewhere_has_effects_of_its_own() {
        let record = |step: &str| StepRecord {
            step: step.into(),
            state: StepState::Done,
            attempt: 0,
            output: Value::Null,
            job: None,
            fault: None,
            asserted: None,
            at: Timestamp::from_micros(0),
        };
        let mut journal = vec![record("root-volume")];
        let first = effect_name(&journal, "root-volume", "create");
        assert_eq!(first, "root-volume/create");
        journal.push(record(ELSEWHERE));
        let second = effect_name(&journal, "root-volume", "create");
        journal.extend([record("root-volume"), record(ELSEWHERE)]);
        let third = effect_name(&journal, "root-volume", "create");
        assert!(first != second && second != third, "{first} {second} {third}");
    }
}
