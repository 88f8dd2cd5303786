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
    /// When it came into this state.
    #[schema(format = DateTime)]
    pub at: String,
}

/// What an operation is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubjectView {
    /// Its collection: `instances`, `volumes`, `templates`, `compute-hosts`.
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
