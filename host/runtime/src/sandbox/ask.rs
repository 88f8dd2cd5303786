//! What guest code asks of the server while it runs, and what it is answered. Plain values: they travel from the plugin's
//! process to the server and back.

use async_trait::async_trait;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::world::bindings::velum::{common::types as wit, connect::http};

/// A host call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// A line of the log. Answered with nothing.
    Log {
        /// 0 trace to 4 error.
        level: u8,
        /// The line, cut.
        message: String,
    },
    /// The target's HTTP origin.
    Http(HttpAsk),
    /// libvirt of the target's node.
    Libvirt(LibvirtAsk),
    /// Files in the pool's directory.
    Files(FilesAsk),
    /// The plugin's durable values.
    State(StateAsk),
    /// A secret by its purpose. Answers its name.
    Mint {
        /// What for.
        purpose: String,
        /// Characters.
        length: u16,
    },
}

impl Ask {
    /// The interface that it is of.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Log { .. } => "log",
            Self::Http(_) => "http",
            Self::Libvirt(_) => "libvirt",
            Self::Files(_) => "files",
            Self::State(_) => "state",
            Self::Mint { .. } => "secrets",
        }
    }
}

/// Of `velum:connect/http`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum HttpAsk {
    /// Opens the origin under a role. Answers the role's number.
    Open {
        /// The role.
        role: String,
    },
    /// Sends a request.
    Send {
        /// The role's number.
        endpoint: u32,
        /// The request.
        request: http::Request,
    },
}

/// Of `velum:connect/libvirt`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LibvirtAsk {
    /// Whether a connection is granted.
    Open,
    /// What the host can do, as libvirt says it.
    Capabilities,
    /// What the host is.
    Facts,
    /// A page of its domains.
    Stats {
        /// Where the page begins.
        after: Option<String>,
    },
    /// Defines the run.
    Define {
        /// The driver's text.
        xml: String,
    },
    /// The text of the run's domain.
    DomainXml,
    /// What is known of the run's domain, if there is one.
    Domain,
    /// Does something with the run's domain.
    Act {
        /// What.
        verb: u16,
        /// How.
        options: u32,
    },
    /// Plugs a device in.
    Attach {
        /// The driver's text.
        xml: String,
        /// Into the running guest too.
        live: bool,
    },
    /// Takes a device out.
    Detach {
        /// Its alias.
        alias: String,
        /// Of the running guest too.
        live: bool,
    },
}

/// Of `velum:connect/files`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FilesAsk {
    /// Whether the directory is granted.
    Open,
    /// Its space.
    Space,
    /// Makes an image.
    Create {
        /// As which change.
        effect: wit::Effect,
        /// The file.
        name: String,
        /// 1 raw, 2 qcow2.
        format: u16,
        /// As large as that.
        bytes: u64,
        /// On top of this one.
        backing: Option<String>,
    },
    /// Copies an image.
    Copy {
        /// As which change.
        effect: wit::Effect,
        /// From this file.
        source: String,
        /// To this one.
        name: String,
        /// 1 raw, 2 qcow2.
        format: u16,
    },
    /// Makes an image larger.
    Resize {
        /// As which change.
        effect: wit::Effect,
        /// The file.
        name: String,
        /// As large as that.
        bytes: u64,
    },
    /// Removes an image.
    Remove {
        /// As which change.
        effect: wit::Effect,
        /// The file.
        name: String,
    },
    /// What is known of one image.
    Inspect {
        /// The file.
        name: String,
    },
    /// The path of an image.
    Locate {
        /// The file.
        name: String,
    },
    /// A page of images.
    Entries {
        /// Where the page begins.
        after: Option<String>,
        /// At most that many.
        limit: u32,
    },
    /// How long work goes on.
    Poll {
        /// Its token.
        token: String,
    },
    /// Ends long work.
    Cancel {
        /// Its token.
        token: String,
    },
}

/// Of `velum:connect/state`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum StateAsk {
    /// What is kept.
    Get {
        /// Under which key.
        key: String,
    },
    /// Keeps a value.
    Put {
        /// Under which key.
        key: String,
        /// The version that it replaces.
        version: u64,
        /// The value.
        value: Vec<u8>,
    },
    /// Forgets a value.
    Remove {
        /// Under which key.
        key: String,
        /// The version that it has.
        version: u64,
    },
}

/// What an ask is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The host function's answer, encoded.
    Answer(Vec<u8>),
    /// The call ends here, with a trap that says this.
    Stop(String),
}

/// Who answers what guest code asks: the server, wherever the guest runs.
#[async_trait]
pub trait Desk: Send + Sync {
    /// Answers.
    async fn ask(&self, ask: Ask) -> Reply;
}

/// An answer on its way.
pub fn reply<T: Serialize>(answer: &T) -> Reply {
    encode(answer).map_or_else(Reply::Stop, Reply::Answer)
}

/// Encodes what travels.
///
/// # Errors
/// What cannot be encoded, in words.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    postcard::to_allocvec(value).map_err(|error| format!("a message cannot be written: {error}"))
}

/// Decodes what travelled, all of it.
///
/// # Errors
/// What is wrong with it, in words.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let (value, rest) =
        postcard::take_from_bytes(bytes).map_err(|error| format!("a message cannot be read: {error}"))?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(format!("a message has {} bytes too many", rest.len()))
    }
}
