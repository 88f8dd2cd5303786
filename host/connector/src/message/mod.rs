//! The plain messages between the server and `velum-node` over a Unix socket, or over TLS between machines.
//!
//! The node speaks first: a [`Greeting`]. Then the server sends [`Request`]s, many in flight at a time, and the node
//! answers each with a [`Reply`] of the same number, in any order. After a positive answer to [`Verb::ConsoleOpen`]
//! the connection carries the bytes of that console and nothing else.
//!
//! A message is JSON, so that it can be read in a trace and grow by fields; bulk bytes (a chunk of an image, a log)
//! travel beside it unencoded. See [`frame`].

pub mod files;
pub mod frame;
pub mod image;
pub mod libvirt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use velum_model::{
    fault::Fault,
    id::RunId,
    port::{
        Effect, Fence,
        hypervisor::ConsolePlace,
        node::{LinkSpec, NodeHello, SeedSpec},
        storage::Attachment,
    },
};

use self::{files::FilesVerb, image::ImageVerb, libvirt::LibvirtVerb};

/// The protocol that this module describes. It rises when an old peer would misunderstand a new one.
pub const PROTOCOL: u32 = 2;

/// What the node says first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// [`PROTOCOL`] of the node.
    pub protocol: u32,
    /// Who it is.
    #[serde(flatten)]
    pub hello: NodeHello,
}

/// One call. Bulk bytes of [`ImageVerb::Write`] travel as the body of its frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the caller, unique among its calls in flight.
    pub id: u64,
    /// The caller waits no longer than this.
    pub deadline_ms: u32,
    /// Under which right; every effect carries it, a question does not.
    pub fence: Option<Fence>,
    /// As which effect; every effect carries it, a question does not.
    pub effect: Option<Effect>,
    /// What is wanted.
    pub verb: Verb,
}

/// The answer to one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The number of the request.
    pub id: u64,
    /// The verb's answer (its type stands at the verb), or why there is none.
    pub result: Result<Value, Fault>,
}

/// What a node can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// The server owns these shards under these epochs. Answers `null` when every effect of an older epoch has ended
    /// and none can begin any more.
    Epochs(Vec<ShardEpoch>),
    /// A connection to libvirt.
    Libvirt {
        /// Connection URI, as the operator configured the compute host.
        uri: String,
        /// What is wanted of it.
        verb: LibvirtVerb,
    },
    /// The one directory of a pool.
    Files {
        /// Its absolute path: the pool's grant.
        directory: String,
        /// What is wanted in it.
        verb: FilesVerb,
    },
    /// An image store in a directory.
    Image {
        /// Its absolute path.
        directory: String,
        /// What is wanted of it.
        verb: ImageVerb,
    },
    /// Makes or checks a link (effect). Answers the name to plug a NIC into: `String`.
    LinkEnsure(LinkSpec),
    /// Removes a link that the node made and nothing uses (effect). Answers `null`.
    LinkRemove(Uuid),
    /// The networks that the node made a link for. Answers `Vec<Uuid>`.
    Links,
    /// Writes the seed of a run (effect). Answers its path: `String`.
    SeedWrite {
        /// Of which run.
        run: RunId,
        /// What is in it.
        seed: SeedSpec,
    },
    /// The runs whose seeds lie on the node. Answers `Vec<RunId>`.
    Seeds,
    /// Removes the seed of a run (effect). Answers `null`.
    SeedRemove(RunId),
    /// Copies an image into a published volume (effect). Answers `null`.
    FillLayer {
        /// Path of the image, as its image store named it.
        image: String,
        /// Where it goes.
        into: Attachment,
    },
    /// Hands over the secret of the volume with this identity, for what follows within minutes. Its value is the body of
    /// the frame: it stands in no message that is logged or remembered. Answers `null`.
    SecretHold {
        /// The volume's identity.
        identity: String,
    },
    /// Whether a device is what its attachment says. Answers `null`.
    VerifyAttachment(Attachment),
    /// Opens a console. Answers `null`; then the connection is the console.
    ConsoleOpen {
        /// Connection URI of the compute host.
        uri: String,
        /// Whose console.
        run: RunId,
        /// Which console.
        place: ConsolePlace,
    },
    /// The last bytes that a run's serial console wrote. Answers `null` with the bytes as body of the frame.
    ConsoleLog {
        /// Whose console.
        run: RunId,
        /// How many bytes at most; the node caps it at [`frame::MAX_BODY`].
        limit: u32,
    },
}

/// A shard and the epoch under which a server owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEpoch {
    /// Which shard.
    pub shard: Uuid,
    /// Under which epoch.
    pub epoch: u64,
}

impl Verb {
    /// Whether it changes something, and so must pass the gate with a fence and an effect. What an image store does is
    /// idempotent by the image's id and has no incarnations; epochs are the gate's own.
    #[must_use]
    pub const fn is_effect(&self) -> bool {
        match self {
            Self::Libvirt { verb, .. } => verb.is_effect(),
            Self::Files { verb, .. } => verb.is_effect(),
            Self::LinkEnsure(_)
            | Self::LinkRemove(_)
            | Self::SeedWrite { .. }
            | Self::SeedRemove(_)
            | Self::FillLayer { .. } => true,
            Self::Epochs(_)
            | Self::Image { .. }
            | Self::Links
            | Self::Seeds
            | Self::SecretHold { .. }
            | Self::VerifyAttachment(_)
            | Self::ConsoleOpen { .. }
            | Self::ConsoleLog { .. } => false,
        }
    }

    /// Whether a lost answer leaves it unknown what happened: true of all that changes anything.
    #[must_use]
    pub const fn may_change(&self) -> bool {
        match self {
            Self::Image { verb, .. } => verb.may_change(),
            other => other.is_effect(),
        }
    }
}
