//! Instances and their runs.
//!
//! What a tenant owns is an instance; what takes room on a compute host is a run. A stopped instance has no run and no
//! compute claim: starting it is a placement.
//!
//! ```text
//!             ┌────────────── start ───────────────┐
//!             ▼                                    │
//! Creating ─▶ Starting ──booted──▶ Running ──▶ Stopping ──off──▶ Stopped
//!     │          │                  │  ▲                           │
//!     │undone    │gave up           │  └ Rebooting                 │
//!     ▼          ▼                  ▼                              ▼
//!  (gone)     Stopped            Destroying ◀──────────────────────┘ ─▶ (gone)
//! ```
//! `Failed` is entered when an operation could neither finish nor undo; its claims are held until the operator lets the
//! operation go on (then it is again what the operation makes of it) or somebody destroys the instance.

use serde::{Deserialize, Serialize};

use crate::{
    id::*,
    name::Name,
    quantity::{ExpectedLifetime, MemoryMib, Vcpus},
    resource::Resources,
    time::Timestamp,
};

/// Where an instance is in its life. Stored; what is shown beside it is the observation of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Accepted; its operation makes it.
    Creating,
    /// Accepted to start.
    Starting,
    /// Its guest was seen to run.
    Running,
    /// Accepted to stop.
    Stopping,
    /// No run, no compute claim.
    Stopped,
    /// Accepted to reboot.
    Rebooting,
    /// Accepted to go.
    Destroying,
    /// An operation on it is parked.
    Failed,
}

/// A transition that the state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an instance that is {from} cannot {verb}")]
pub struct InvalidTransition {
    /// What it is.
    pub from: InstanceState,
    /// What was wanted.
    pub verb: &'static str,
}

impl std::fmt::Display for InstanceState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl InstanceState {
    /// Every state, for tables and documentation.
    pub const ALL: [Self; 8] = [
        Self::Creating,
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Stopped,
        Self::Rebooting,
        Self::Destroying,
        Self::Failed,
    ];

    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Rebooting => "rebooting",
            Self::Destroying => "destroying",
            Self::Failed => "failed",
        }
    }

    fn refuse(self, verb: &'static str) -> InvalidTransition {
        InvalidTransition { from: self, verb }
    }

    /// A start is accepted.
    ///
    /// # Errors
    /// Only what is stopped starts.
    pub fn start(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Stopped => Ok(Self::Starting),
            other => Err(other.refuse("start")),
        }
    }

    /// The guest was seen to run.
    ///
    /// # Errors
    /// Only what is on its way up boots.
    pub fn booted(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Creating | Self::Starting | Self::Rebooting => Ok(Self::Running),
            other => Err(other.refuse("boot")),
        }
    }

    /// A stop is accepted.
    ///
    /// # Errors
    /// Only what runs stops.
    pub fn stop(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Running => Ok(Self::Stopping),
            other => Err(other.refuse("stop")),
        }
    }

    /// Its run ended or was given up.
    ///
    /// # Errors
    /// Only what is on its way somewhere ends up stopped.
    pub fn halted(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Stopping | Self::Starting => Ok(Self::Stopped),
            other => Err(other.refuse("halt")),
        }
    }

    /// A reboot is accepted.
    ///
    /// # Errors
    /// Only what runs reboots.
    pub fn reboot(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Running => Ok(Self::Rebooting),
            other => Err(other.refuse("reboot")),
        }
    }

    /// The operator lets the operation that failed go on: the instance is `again` what that operation makes of it.
    ///
    /// # Errors
    /// Only what failed goes on; a destroy that came meanwhile has the last word.
    pub fn resume(self, again: Self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Failed => Ok(again),
            other => Err(other.refuse("go on with what failed")),
        }
    }

    /// A destroy is accepted. It comes even in the middle of a create or a start, whose operation it cancels before
    /// its pivot.
    ///
    /// # Errors
    /// What is already on its way out, or in the middle of a stop or reboot, is refused.
    pub fn destroy(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Creating | Self::Starting | Self::Running | Self::Stopped | Self::Failed => {
                Ok(Self::Destroying)
            }
            other => Err(other.refuse("be destroyed")),
        }
    }
}

/// A tenant's machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its owner.
    pub project: ProjectId,
    /// Unique in its project and zone; its host name in lower case.
    pub name: Name,
    /// Its shape.
    pub offering: ComputeOfferingId,
    /// What it was made from.
    pub template: TemplateId,
    /// vCPUs, copied from the offering.
    pub vcpus: Vcpus,
    /// Memory, copied from the offering.
    pub memory: MemoryMib,
    /// cloud-init user data, opaque; at most [`USER_DATA_MAX`] bytes.
    pub user_data: Vec<u8>,
    /// How long each of its runs is expected to last; none = nobody said.
    pub expected_lifetime: Option<ExpectedLifetime>,
    /// Where it is in its life.
    pub state: InstanceState,
    /// Its active run.
    pub run: Option<Run>,
    /// The compute host of its last run.
    pub last_host: Option<ComputeHostId>,
    /// The decision that placed its last run.
    pub decision: Option<DecisionId>,
    /// Grows with every change of the intent.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// cloud-init's own seeds and the metadata services of other clouds carry 16 to 64 KiB.
pub const USER_DATA_MAX: usize = 64 * 1024;

/// What a run is to its instance. Partial unique indexes allow one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunRole {
    /// The one that is meant to be.
    Active,
    /// The one it moves to.
    Incoming,
}

/// What was seen of a run last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObservedState {
    /// Not looked yet, or not to be seen (law 8: it keeps its claims).
    Unknown,
    /// Defined, off.
    Off,
    /// Running.
    Running,
    /// Paused.
    Paused,
    /// Crashed.
    Crashed,
}

/// One incarnation of an instance on one compute host. It holds the compute claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its id; the uuid of the domain.
    pub id: RunId,
    /// Its instance.
    pub instance: InstanceId,
    /// Where.
    pub compute_host: ComputeHostId,
    /// The how-manieth incarnation of the instance; the gate refuses lower ones.
    pub generation: u64,
    /// What it is to the instance.
    pub role: RunRole,
    /// vCPUs claimed.
    pub vcpus: Vcpus,
    /// Memory claimed.
    pub memory: MemoryMib,
    /// Countable resources claimed.
    pub resources: Resources,
    /// What was seen last.
    pub observed: ObservedState,
    /// When.
    pub observed_at: Option<Timestamp>,
    /// When it was claimed.
    pub created_at: Timestamp,
    /// When it is expected to end, a whole minute; none = nobody said. It may run on: this is what placement was told.
    pub expected_end_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_either_takes_a_verb_or_says_why_not() {
        type Verb = fn(InstanceState) -> Result<InstanceState, InvalidTransition>;
        let verbs: [Verb; 7] = [
            InstanceState::start,
            InstanceState::booted,
            InstanceState::stop,
            InstanceState::halted,
            InstanceState::reboot,
            |state| state.resume(InstanceState::Starting),
            InstanceState::destroy,
        ];
        for state in InstanceState::ALL {
            for verb in verbs {
                if let Err(refused) = verb(state) {
                    assert_eq!(refused.from, state);
                    assert!(refused.to_string().contains(state.as_str()));
                }
            }
        }
    }
}
