//! What can go wrong between a server and what it talks to, and who decides that it does.

use std::time::Duration;

use velum_model::{
    fault::Fault,
    id::OperationId,
    operation::{Operation, OperationState, StepRecord, StepState},
};
use velum_store::{Commit, DatabaseAsk, DatabaseFate, OperationWrite};

/// A call on its way to the far side.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// What is asked.
    pub verb: &'static str,
    /// Whether it changes something there.
    pub is_effect: bool,
}

/// What becomes of a call.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// How long it is under way.
    pub delay: Duration,
    /// It does not arrive; this is what the caller sees.
    pub before: Option<Fault>,
    /// How often it arrives.
    pub copies: u32,
    /// It arrives once more, so much later.
    pub late: Vec<Duration>,
    /// It arrived and acted, but this is what the caller sees.
    pub after: Option<Fault>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            before: None,
            copies: 1,
            late: Vec::new(),
            after: None,
        }
    }
}

/// What becomes of a server at a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    #[default]
    Goes,
    /// It is killed there.
    Dies,
    /// It stands still there, as if its machine were paused, until it is thawed.
    Freezes,
}

/// What a commit of an engine says of its operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A step is about to begin; `done` is the one before it, recorded with it.
    Intent {
        /// Which begins.
        step: String,
        /// Which is recorded as done, if one is.
        done: Option<String>,
    },
    /// It is finished; `done` is the last step.
    End {
        /// The last step recorded as done, when it went forward.
        done: Option<String>,
        /// How it ended.
        state: OperationState,
    },
    /// A step is about to be undone.
    UndoIntent(String),
    /// A step is undone.
    Undone(String),
    /// Anything else: another try, a token, a turn backwards.
    Other,
}

impl Moment {
    /// What a commit says.
    #[must_use]
    pub fn of(commit: &Commit) -> Option<(&Operation, Self)> {
        let Some(OperationWrite::Update(operation)) = &commit.operation else {
            return None;
        };
        Some((operation, Self::of_operation(operation)))
    }

    fn of_operation(operation: &Operation) -> Self {
        let journal = operation.journal.as_slice();
        let is_new = |record: &StepRecord| record.attempt == 0 && record.fault.is_none();
        let last_done = |records: &[StepRecord]| {
            records
                .iter()
                .rev()
                .find(|r| r.state == StepState::Done)
                .map(|r| r.step.clone())
        };
        match operation.state {
            OperationState::Done | OperationState::Undone | OperationState::Parked => Self::End {
                done: (operation.state == OperationState::Done)
                    .then(|| last_done(journal))
                    .flatten(),
                state: operation.state,
            },
            OperationState::Running => match journal.split_last() {
                Some((last, before))
                    if last.state == StepState::Intent && is_new(last) && last.job.is_none() =>
                {
                    Self::Intent {
                        step: last.step.clone(),
                        done: last_done(before),
                    }
                }
                _ => Self::Other,
            },
            OperationState::Undoing => {
                let intent = journal.iter().find(|r| r.state == StepState::UndoIntent);
                let undone = journal.iter().find(|r| r.state == StepState::Undone);
                match (intent, undone) {
                    (Some(intent), _) if intent.attempt == 0 => Self::UndoIntent(intent.step.clone()),
                    (Some(_), _) | (None, None) => Self::Other,
                    (None, Some(undone)) => Self::Undone(undone.step.clone()),
                }
            }
        }
    }
}

/// When a commit is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// What it records has happened, it is not durable.
    Before,
    /// It is durable.
    After,
}

/// Decides what goes wrong.
pub trait Director: Send + Sync {
    /// A server's engine commits.
    fn at_commit(&self, life: u32, when: When, operation: OperationId, moment: &Moment) -> Fate;
    /// A server calls the far side: what becomes of the call, and what of the server just before it.
    fn at_call(&self, life: u32, about: About) -> (Fate, Delivery);
    /// The far side answered.
    fn answered(&self, life: u32, about: About, answer: &str);
    /// A server asks its database.
    fn at_database(&self, _life: u32, _ask: DatabaseAsk) -> DatabaseFate {
        DatabaseFate::Answers
    }
}
