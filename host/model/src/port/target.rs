//! What every call to a driver or provider carries. Mirrors `velum:common/types`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// An open attribute of the contracts: a code from a registry and a value. Codes with bit 14 (`0x4000`) set are
/// critical: whoever does not know them refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attr {
    /// The code; vendors' own begin at `0x8000`.
    pub code: u16,
    /// The value.
    pub value: AttrValue,
}

/// The value of an [`Attr`]; these cases are closed for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttrValue {
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Yes or no.
    Flag(bool),
}

impl Attr {
    /// A number under a code.
    #[must_use]
    pub const fn number(code: u16, value: u64) -> Self {
        Self {
            code,
            value: AttrValue::Number(value),
        }
    }
    /// A text under a code.
    #[must_use]
    pub fn text(code: u16, value: impl Into<String>) -> Self {
        Self {
            code,
            value: AttrValue::Text(value.into()),
        }
    }
}

/// What a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// A compute host.
    ComputeHost,
    /// A primary storage pool.
    StoragePool,
}

/// A place that the server binds to one call: the plugin can reach no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What it is.
    pub kind: TargetKind,
    /// Our id of the compute host or pool.
    pub id: Uuid,
    /// The operator's settings for it, checked against the plugin's schema (`[target]` of `plugin.toml`); no secrets.
    pub config: Value,
    /// Address of the `velum-node` that executes `libvirt` and `files` calls for it, e.g. `unix:/run/velum/node.sock`.
    pub node: Option<String>,
    /// Origin that the `http` connector may reach for it, e.g. `http://127.0.0.1:7001`.
    pub endpoint: Option<String>,
    /// Where the operator keeps the credential that the `http` connector injects; never passed to a plugin.
    pub secret: Option<String>,
}

/// The right to act: a step's effect is refused where a newer owner or incarnation has been seen (law 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The shard whose operation acts.
    pub shard: Uuid,
    /// The shard's epoch under which the operation is owned.
    pub epoch: u64,
    /// The object that the effect changes: an instance or a volume.
    pub object: Uuid,
    /// Its incarnation: the run's generation of an instance, 0 of a volume.
    pub generation: u64,
}

/// The identity of an effect: same id, same change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Derived from operation, step and role ([`crate::chance::derived`]).
    pub id: Uuid,
    /// How often it was tried before, from 0.
    pub attempt: u16,
    /// The caller waits no longer than this.
    pub deadline_ms: u32,
}

/// Everything a changing call carries beside its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Where.
    pub target: Target,
    /// Under which right.
    pub fence: Fence,
    /// As which effect.
    pub effect: Effect,
}

/// Long work, as a token that is stored in the step and outlives the sandbox, the server and the plugin's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The plugin's name for the work.
    pub token: String,
    /// When to ask again.
    pub poll_after_ms: u32,
    /// Progress in ten-thousandths, if known.
    pub permyriad: Option<u16>,
    /// Whether it can be cancelled.
    pub cancellable: bool,
    /// What is going on, for people.
    pub note: String,
}

/// The answer to a changing call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is so.
    Done(Vec<Attr>),
    /// It will be.
    Working(Job),
}
