//! Operations: the durable record of anything that takes time; events: what happened, by whom.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{id::*, port::target::Job, time::Timestamp};

/// The kinds of operations. The text is stored as `kind@version`; never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKindName {
    /// Makes and starts an instance.
    InstanceCreate,
    /// Starts a stopped instance: a placement.
    InstanceStart,
    /// Stops one: gracefully, then hard.
    InstanceStop,
    /// Reboots one.
    InstanceReboot,
    /// Removes one with its root volume.
    InstanceDestroy,
    /// Checks and converts an uploaded image.
    TemplateRegister,
    /// Removes a template and its layers.
    TemplateDelete,
    /// Makes a data volume.
    VolumeCreate,
    /// Gives a volume to an instance.
    VolumeAttach,
    /// Takes it back.
    VolumeDetach,
    /// Removes a volume.
    VolumeDelete,
    /// Takes a compute host out of service.
    ComputeHostMaintenance,
    /// Removes something at a far side that no row owns.
    OrphanRemove,
}

impl OperationKindName {
    /// Every kind: the step suites enumerate them from here.
    pub const ALL: [Self; 13] = [
        Self::InstanceCreate,
        Self::InstanceStart,
        Self::InstanceStop,
        Self::InstanceReboot,
        Self::InstanceDestroy,
        Self::TemplateRegister,
        Self::TemplateDelete,
        Self::VolumeCreate,
        Self::VolumeAttach,
        Self::VolumeDetach,
        Self::VolumeDelete,
        Self::ComputeHostMaintenance,
        Self::OrphanRemove,
    ];

    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InstanceCreate => "instance-create",
            Self::InstanceStart => "instance-start",
            Self::InstanceStop => "instance-stop",
            Self::InstanceReboot => "instance-reboot",
            Self::InstanceDestroy => "instance-destroy",
            Self::TemplateRegister => "template-register",
            Self::TemplateDelete => "template-delete",
            Self::VolumeCreate => "volume-create",
            Self::VolumeAttach => "volume-attach",
            Self::VolumeDetach => "volume-detach",
            Self::VolumeDelete => "volume-delete",
            Self::ComputeHostMaintenance => "compute-host-maintenance",
            Self::OrphanRemove => "orphan-remove",
        }
    }

    /// The collection of what an operation of this kind is about.
    #[must_use]
    pub const fn collection(self) -> &'static str {
        match self {
            Self::InstanceCreate
            | Self::InstanceStart
            | Self::InstanceStop
            | Self::InstanceReboot
            | Self::InstanceDestroy => "instances",
            Self::TemplateRegister | Self::TemplateDelete => "templates",
            Self::VolumeCreate | Self::VolumeAttach | Self::VolumeDetach | Self::VolumeDelete => "volumes",
            Self::ComputeHostMaintenance => "compute-hosts",
            Self::OrphanRemove => "orphans",
        }
    }

    /// The kind that is stored under `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == text)
    }

    /// Whether it takes the lock of a parked operation and ends it: whoever removes a thing removes what was stuck on it.
    #[must_use]
    pub const fn supersedes_parked(self) -> bool {
        matches!(self, Self::InstanceDestroy)
    }
}

/// Where an operation is.
///
/// ```text
/// Running ──▶ Done
///    │  └──▶ Undoing ──▶ Undone
///    └──────────┴──▶ Parked ──operator──▶ Running | Undoing
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationState {
    /// Going forward.
    Running,
    /// Compensating, before the pivot.
    Undoing,
    /// Finished.
    Done,
    /// Undone: as if it had never been, but for its record.
    Undone,
    /// Stuck: claims held, alarm up, the operator decides.
    Parked,
}

impl OperationState {
    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Undoing => "undoing",
            Self::Done => "done",
            Self::Undone => "undone",
            Self::Parked => "parked",
        }
    }

    /// The state that is stored under `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Running,
            Self::Undoing,
            Self::Done,
            Self::Undone,
            Self::Parked,
        ]
        .into_iter()
        .find(|s| s.as_str() == text)
    }

    /// Whether nothing more happens by itself.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Undone)
    }
}

/// What an operation is about: its lock row, and where its link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "id")]
pub enum Subject {
    /// An instance.
    Instance(InstanceId),
    /// A volume.
    Volume(VolumeId),
    /// A template.
    Template(TemplateId),
    /// A compute host.
    ComputeHost(ComputeHostId),
    /// Something that no row owns.
    Orphan(OrphanId),
}

impl Subject {
    /// Every collection whose resources operations are about.
    pub const COLLECTIONS: [&'static str; 5] =
        ["instances", "volumes", "templates", "compute-hosts", "orphans"];

    /// The bare id: the primary key of the lock row.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        match self {
            Self::Instance(id) => id.uuid(),
            Self::Volume(id) => id.uuid(),
            Self::Template(id) => id.uuid(),
            Self::ComputeHost(id) => id.uuid(),
            Self::Orphan(id) => id.uuid(),
        }
    }

    /// The collection in the API.
    #[must_use]
    pub const fn collection(self) -> &'static str {
        match self {
            Self::Instance(_) => "instances",
            Self::Volume(_) => "volumes",
            Self::Template(_) => "templates",
            Self::ComputeHost(_) => "compute-hosts",
            Self::Orphan(_) => "orphans",
        }
    }

    /// From a collection and an id, as stored.
    #[must_use]
    pub fn of(collection: &str, id: Uuid) -> Option<Self> {
        Some(match collection {
            "instances" => Self::Instance(Id::from_uuid(id)),
            "volumes" => Self::Volume(Id::from_uuid(id)),
            "templates" => Self::Template(Id::from_uuid(id)),
            "compute-hosts" => Self::ComputeHost(Id::from_uuid(id)),
            "orphans" => Self::Orphan(Id::from_uuid(id)),
            _ => return None,
        })
    }
}

/// What one step of an operation did. Appended to the journal as it runs (law 5: intent, act, record).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The step's name; never renamed.
    pub step: String,
    /// Where it is.
    pub state: StepState,
    /// How often the act was tried.
    pub attempt: u16,
    /// What the step leaves for later steps and for recovery.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// Long work that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// What went wrong last, for the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<crate::fault::Fault>,
    /// The operator's word in place of the far side's, which was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asserted: Option<Assertion>,
    /// When it came into this state.
    pub at: Timestamp,
}

/// An operator's word that what a step could not reach is gone for good. It is what lets another guest run (law 8), so it
/// stays with the step for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// Whose word.
    pub by: String,
    /// How they know.
    pub reason: String,
    /// When it was given.
    pub at: Timestamp,
}

/// Where a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// It is about to act: found like this after a crash, it is observed first.
    Intent,
    /// It acted and its result is recorded.
    Done,
    /// It is about to be undone.
    UndoIntent,
    /// It was undone.
    Undone,
}

/// A durable operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// What it does.
    pub kind: OperationKindName,
    /// Version of its steps.
    pub version: u16,
    /// The shard that owns it.
    pub shard: ShardId,
    /// The epoch under which it was last changed.
    pub epoch: u64,
    /// Its owner.
    pub project: ProjectId,
    /// What it is about.
    pub subject: Subject,
    /// Where it is.
    pub state: OperationState,
    /// Its arguments; the kind knows their type.
    pub params: Value,
    /// Its steps so far, in order.
    pub journal: Vec<StepRecord>,
    /// Progress in percent, for people.
    pub progress: u8,
    /// What is going on, for people.
    pub note: String,
    /// Why it was undone or parked, for a tenant: no detail of the far side.
    pub error: Option<OperationError>,
    /// Who asked.
    pub caller: String,
    /// It runs no earlier than this (back-off, polling).
    pub due_at: Timestamp,
    /// A destroy wants it to stop before its pivot.
    pub cancel_requested: bool,
    /// Grows with every change.
    pub generation: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// Why an operation did not do what it was asked, in words for a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationError {
    /// Stable: `hypervisor`, `storage`, `image`, `network`, `cancelled`, `internal`.
    pub code: String,
    /// In words.
    pub message: String,
}

/// Something that happened, written in the transaction that made it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The shard that numbers it.
    pub shard: ShardId,
    /// The epoch under which it was written.
    pub epoch: u64,
    /// Its number in the shard; dense.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What: `instance.created`, `operation.done`, …
    pub kind: String,
    /// Owner of the resource.
    pub project: ProjectId,
    /// Collection of the resource.
    pub collection: String,
    /// Its id.
    pub resource: Uuid,
    /// The operation that did it, if one did.
    pub operation: Option<OperationId>,
    /// Who asked.
    pub caller: String,
    /// More, by kind.
    pub data: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_what_it_writes() {
        for kind in OperationKindName::ALL {
            assert_eq!(OperationKindName::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(OperationKindName::parse("instance-teleport"), None);
    }

    #[test]
    fn every_kind_is_about_a_collection() {
        for kind in OperationKindName::ALL {
            assert!(Subject::COLLECTIONS.contains(&kind.collection()), "{kind:?}");
        }
    }
}
