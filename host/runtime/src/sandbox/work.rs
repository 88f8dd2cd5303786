//! What a driver or provider is asked to do. Plain values: they travel from the server to the plugin's process.

use serde::{Deserialize, Serialize};

use crate::world::bindings::velum::{
    common::types as wit,
    hypervisor::types::{Disk, GuestSpec},
    storage::types::{Consumer, Volume, VolumeSpec},
};

/// One call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Work {
    /// What the guest may know of the place that it is called for.
    pub place: GuestPlace,
    /// What is wanted.
    pub verb: Verb,
}

/// What a guest may know of its target and run. What it may reach there, the server knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GuestPlace {
    /// Our id of the target.
    pub target: String,
    /// The operator's settings for it, JSON.
    pub config: String,
    /// Id and generation of the run, for calls about one.
    pub run: Option<(String, u64)>,
}

/// The function that is called.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Verb {
    /// Of a hypervisor driver.
    Driver(DriverVerb),
    /// Of a storage provider.
    Provider(ProviderVerb),
}

/// The functions of `velum:hypervisor`, by their names and parameters there; each answers what its WIT function answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum DriverVerb {
    Describe,
    Probe,
    Ensure { effect: wit::Effect, spec: GuestSpec },
    Start { effect: wit::Effect, spec: GuestSpec },
    Shutdown { effect: wit::Effect },
    Kill { effect: wit::Effect },
    Reboot { effect: wit::Effect, hard: bool },
    Remove { effect: wit::Effect },
    Observe { after: Option<String> },
    ObserveRun,
    Poll { effect: wit::Effect, token: String },
    Cancel { effect: wit::Effect, token: String },
    AttachDisk { effect: wit::Effect, disk: Disk },
    DetachDisk { effect: wit::Effect, slot: u16 },
    LocateConsole { kind: u16 },
}

/// The functions of `velum:storage`, by their names and parameters there; each answers what its WIT function answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ProviderVerb {
    Describe,
    Probe,
    Create {
        effect: wit::Effect,
        spec: VolumeSpec,
    },
    Delete {
        effect: wit::Effect,
        volume: Volume,
    },
    Expand {
        effect: wit::Effect,
        volume: Volume,
        size_bytes: u64,
    },
    Publish {
        effect: wit::Effect,
        volume: Volume,
        to: Consumer,
    },
    Unpublish {
        effect: wit::Effect,
        volume: Volume,
        node: String,
    },
    ReachedBy {
        volume: Volume,
        node: String,
    },
    Find {
        id: String,
    },
    Observe {
        after: Option<String>,
    },
    Poll {
        effect: wit::Effect,
        token: String,
    },
    Cancel {
        effect: wit::Effect,
        token: String,
    },
}

impl Verb {
    /// Its function's name in WIT.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Driver(verb) => match verb {
                DriverVerb::Describe => "describe",
                DriverVerb::Probe => "probe",
                DriverVerb::Ensure { .. } => "ensure",
                DriverVerb::Start { .. } => "start",
                DriverVerb::Shutdown { .. } => "shutdown",
                DriverVerb::Kill { .. } => "kill",
                DriverVerb::Reboot { .. } => "reboot",
                DriverVerb::Remove { .. } => "remove",
                DriverVerb::Observe { .. } => "observe",
                DriverVerb::ObserveRun => "observe-run",
                DriverVerb::Poll { .. } => "poll",
                DriverVerb::Cancel { .. } => "cancel",
                DriverVerb::AttachDisk { .. } => "attach-disk",
                DriverVerb::DetachDisk { .. } => "detach-disk",
                DriverVerb::LocateConsole { .. } => "locate-console",
            },
            Self::Provider(verb) => match verb {
                ProviderVerb::Describe => "describe",
                ProviderVerb::Probe => "probe",
                ProviderVerb::Create { .. } => "create",
                ProviderVerb::Delete { .. } => "delete",
                ProviderVerb::Expand { .. } => "expand",
                ProviderVerb::Publish { .. } => "publish",
                ProviderVerb::Unpublish { .. } => "unpublish",
                ProviderVerb::ReachedBy { .. } => "reached-by",
                ProviderVerb::Find { .. } => "find",
                ProviderVerb::Observe { .. } => "observe",
                ProviderVerb::Poll { .. } => "poll",
                ProviderVerb::Cancel { .. } => "cancel",
            },
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Ended {
    /// The guest answered: `Result<R, fault>` of its function, encoded.
    Answer(Vec<u8>),
    /// It trapped; in words.
    Trapped(String),
    /// It computed longer than it may.
    Overtime,
    /// The process that it ran in ended; in words. (Only the server says this.)
    Lost(String),
    /// It could not be run at all; in words. (Only the server says this.)
    Unable(String),
}

/// Bounds of one call.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Bounds {
    /// Linear memory.
    pub memory_bytes: u64,
    /// Host calls.
    pub host_calls: u32,
    /// Bytes that one crossing of the sandbox may carry.
    pub transfer_bytes: u64,
    /// Time in guest code.
    pub guest_time_ms: u64,
    /// Calls at once.
    pub calls: u32,
}
