//! Operations: the durable record of anything that takes time.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Where an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OperationState {
    /// Going forward.
    Running,
    /// Compensating.
    Undoing,
    /// Finished.
    Done,
    /// Undone: as if it had never been, but for its record.
    Undone,
    /// Stuck: what it claimed is held until the operator decides.
    Parked,
}

impl OperationState {
    /// Whether nothing more happens by itself.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Undone | Self::Parked)
    }
}

/// Where a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// It acts.
    Intent,
    /// It acted.
    Done,
    /// It is being undone.
    UndoIntent,
    /// It was undone.
    Undone,
}

/// One step of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    /// Its name.
    pub step: String,
    /// Where it is.
    pub state: StepState,
    /// How often it was tried.
    pub attempt: u16,
    /// What goes on within it, for people.
    pub note: Option<String>,
    /// What went wrong last, for the operator; null for others.
    pub fault: Option<String>,
    /// The operator's word that what it could not reach is gone, for the operator; null for others.
    #[serde(default)]
    pub asserted: Option<AssertionView>,
    /// When it came into this state.
    #[schema(format = DateTime)]
    pub at: String,
}

/// An operator's word in place of the far side's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssertionView {
    /// Whose word.
    pub by: String,
    /// How they know.
    pub reason: String,
    /// When it was given.
    #[schema(format = DateTime)]
    pub at: String,
}

/// Why a parked operation is to go on. May be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideOperationBody {
    /// In the operator's words, for the event log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// How it is known that what a parked operation could not reach is gone for good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssertGoneBody {
    /// In the operator's words; stands with the step and in the event log for good.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}

/// What an operation is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubjectView {
    /// Its collection: `instances`, `volumes`, `templates`, `compute-hosts`, `orphans`.
    pub collection: String,
    /// Its id.
    pub id: Uuid,
    /// Where it is to be found.
    pub link: String,
}

/// Why an operation did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationErrorView {
    /// Stable: `hypervisor`, `storage`, `image`, `network`, `cancelled`, `internal`.
    pub code: String,
    /// In words.
    pub message: String,
}

/// The durable record of something that takes time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationView {
    /// Its id.
    pub id: Uuid,
    /// What it does: `instance-create`, `volume-attach`, …
    pub kind: String,
    /// Its owner.
    pub project_id: Uuid,
    /// What it is about.
    pub subject: SubjectView,
    /// Where it is.
    pub state: OperationState,
    /// Progress in percent.
    #[schema(maximum = 100)]
    pub progress_percent: u8,
    /// What is going on, for people.
    pub note: String,
    /// Its steps so far, in order.
    pub steps: Vec<StepView>,
    /// Why it was undone or is stuck.
    pub error: Option<OperationErrorView>,
    /// Who asked.
    pub caller: String,
    /// Whether it was asked to stop.
    pub cancel_requested: bool,
    /// Grows with every change.
    pub generation: u64,
    /// When it was accepted.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it ended.
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
}
