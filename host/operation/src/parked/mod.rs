//! What an operator may say of a parked operation (law 7). Each verb answers the operation as it goes on and the rows that
//! change with it, to be made durable in one commit; the engine takes the operation up again when it hears of that.

mod assert_gone;
mod retry;
mod undo;

use velum_model::{
    instance::InstanceState,
    operation::{Operation, OperationState, StepRecord, StepState, Subject},
    tenancy::Scope,
    time::Timestamp,
};
use velum_store::{Change, Reader, StoreError};

pub use assert_gone::assert_gone;
pub use retry::retry;
pub use undo::undo;

use crate::{
    kind,
    step::{Kind, current},
};

/// What an operator may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// See [`retry`].
    Retry,
    /// See [`undo`].
    Undo,
    /// See [`assert_gone`].
    AssertGone,
}

impl Verb {
    /// As events call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Undo => "undo",
            Self::AssertGone => "assert-gone",
        }
    }

    /// What becomes of a parked operation.
    ///
    /// # Errors
    /// As the verb's own function.
    pub async fn apply(
        self,
        reader: &Reader,
        operation: Operation,
        word: &Word,
    ) -> Result<Resumed, NotResumed> {
        match self {
            Self::Retry => retry(reader, operation, word).await,
            Self::Undo => undo(reader, operation, word).await,
            Self::AssertGone => assert_gone(reader, operation, word).await,
        }
    }
}

/// Who says it, why, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The operator's name.
    pub by: String,
    /// In their words; empty where they gave none.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A parked operation that goes on.
#[derive(Clone, Debug)]
pub struct Resumed {
    /// As it goes on, of the generation that was read.
    pub operation: Operation,
    /// Rows that change with it.
    pub changes: Vec<Change>,
    /// The step that the word was about.
    pub step: Option<String>,
}

/// Why an operation does not go on.
#[derive(Debug, thiserror::Error)]
pub enum NotResumed {
    /// It cannot, and what to do instead.
    #[error("{0}")]
    Refused(String),
    /// Rows could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NotResumed {
    fn because(words: impl Into<String>) -> Self {
        Self::Refused(words.into())
    }
}

/// A parked operation that may go on, and which way it was going.
struct Parked {
    operation: Operation,
    kind: &'static Kind,
    instance: Vec<Change>,
}

impl Parked {
    /// Checks that the operation is parked and still holds what it claimed.
    async fn read(reader: &Reader, operation: Operation) -> Result<Self, NotResumed> {
        if operation.state != OperationState::Parked {
            let words = format!(
                "the operation is {}; only one that is parked waits for an operator",
                operation.state.as_str()
            );
            return Err(NotResumed::because(words));
        }
        let holder = reader.holder_of(operation.subject).await?;
        if holder != Some(operation.id) {
            let by = holder.map_or_else(
                || "another operation".to_owned(),
                |id| format!("the operation {id}"),
            );
            return Err(NotResumed::because(format!(
                "{by} has taken over what this one is about, and ends it"
            )));
        }
        let kind = kind::of(operation.kind);
        let instance = match (operation.subject, kind.instance_is) {
            (Subject::Instance(_), Some(again)) => resume_instance(reader, &operation, again).await?,
            _ => Vec::new(),
        };
        Ok(Self {
            operation,
            kind,
            instance,
        })
    }

    /// Refuses what needs to know the operation's steps where these are of another version.
    fn check_version(&self) -> Result<(), NotResumed> {
        if self.operation.version == self.kind.version {
            return Ok(());
        }
        Err(NotResumed::because(format!(
            "this server does not know version {} of the steps of {}; run one that does, then retry",
            self.operation.version,
            self.operation.kind.as_str()
        )))
    }

    /// Whether it was being undone.
    fn was_undoing(&self) -> bool {
        let is_undone = |r: &StepRecord| matches!(r.state, StepState::UndoIntent | StepState::Undone);
        current(&self.operation.journal).iter().any(is_undone)
    }

    /// The record that waits: where the act or the undo did not come to its end. None where rows alone were in the way.
    fn open(&mut self) -> Option<&mut StepRecord> {
        let records = current(&self.operation.journal);
        let start = self.operation.journal.len() - records.len();
        let at = records
            .iter()
            .rposition(|r| matches!(r.state, StepState::Intent | StepState::UndoIntent))?;
        self.operation.journal.get_mut(start + at)
    }

    /// It goes on from where it is, its attempts counted anew.
    fn resume(mut self, state: OperationState, note: &str, at: Timestamp) -> Resumed {
        let step = self.open().map(|record| {
            record.attempt = 0;
            record.job = None;
            record.step.clone()
        });
        let mut operation = self.operation;
        operation.state = state;
        operation.note = note.into();
        operation.due_at = at;
        if state == OperationState::Running {
            operation.error = None;
        }
        Resumed {
            operation,
            changes: self.instance,
            step,
        }
    }
}

/// The instance is again what its operation makes of it.
async fn resume_instance(
    reader: &Reader,
    operation: &Operation,
    again: InstanceState,
) -> Result<Vec<Change>, NotResumed> {
    let Subject::Instance(id) = operation.subject else {
        return Ok(Vec::new());
    };
    let Some(instance) = reader.instance(Scope::All, id).await? else {
        return Err(NotResumed::because(format!("the instance {id} is gone")));
    };
    let to = instance
        .state
        .resume(again)
        .map_err(|refused| NotResumed::because(refused.to_string()))?;
    let from = vec![instance.state];
    Ok(vec![Change::InstanceState { id, from, to }])
}
