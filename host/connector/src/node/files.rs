//! The `files` connector: image files in a pool's one directory on a node.

use velum_model::{
    fault::{Fault, code},
    port::{Outcome, storage::Space},
};

use super::{NodeClient, QUESTION, Warrant};
use crate::message::{
    Verb,
    files::{Entry, FilesVerb},
};

/// The directory of a pool. Every method can fail as [`Fault`] says: `INVALID` when the directory is missing, not
/// writable or outside what the node may use, or when a name is none; `UNREACHABLE` when the node is away; `FENCED`.
#[derive(Clone, Debug)]
pub struct FilesGrant {
    node: NodeClient,
    directory: String,
}

/// An answer of another type than its verb has.
pub(super) fn bad_answer(error: serde_json::Error) -> Fault {
    Fault::new(
        code::NONSENSE,
        format!("velum-node answered another type than asked for: {error}"),
    )
}

impl FilesGrant {
    pub(super) const fn new(node: NodeClient, directory: String) -> Self {
        Self { node, directory }
    }

    fn verb(&self, verb: FilesVerb) -> Verb {
        Verb::Files {
            directory: self.directory.clone(),
            verb,
        }
    }

    /// Room of the file system under the directory.
    ///
    /// # Errors
    /// See [`FilesGrant`].
    pub async fn space(&self) -> Result<Space, Fault> {
        self.node.ask(self.verb(FilesVerb::Space), QUESTION).await
    }

    /// Makes an image file of `format` and `bytes`, blank or a copy-on-write clone of `backing`.
    ///
    /// # Errors
    /// `EXISTS_DIFFERENT`, `NOT_FOUND` (the backing file), `EXHAUSTED`; see [`FilesGrant`].
    pub async fn create(
        &self,
        warrant: Warrant<'_>,
        name: &str,
        (format, bytes): (u16, u64),
        backing: Option<&str>,
    ) -> Result<Outcome, Fault> {
        let verb = FilesVerb::Create {
            name: name.to_owned(),
            format,
            bytes,
            backing: backing.map(str::to_owned),
        };
        self.node.act(self.verb(verb), warrant).await
    }

    /// Copies an image file into one of its own; long work answers `Working`.
    ///
    /// # Errors
    /// `EXISTS_DIFFERENT`, `NOT_FOUND` (the source), `EXHAUSTED`; see [`FilesGrant`].
    pub async fn copy(
        &self,
        warrant: Warrant<'_>,
        source: &str,
        name: &str,
        format: u16,
    ) -> Result<Outcome, Fault> {
        let verb = FilesVerb::Copy {
            source: source.to_owned(),
            name: name.to_owned(),
            format,
        };
        self.node.act(self.verb(verb), warrant).await
    }

    /// Makes an image file larger.
    ///
    /// # Errors
    /// `INVALID` when it would become smaller, `NOT_FOUND`, `BUSY` (a guest has it open); see [`FilesGrant`].
    pub async fn resize(&self, warrant: Warrant<'_>, name: &str, bytes: u64) -> Result<(), Fault> {
        let verb = FilesVerb::Resize {
            name: name.to_owned(),
            bytes,
        };
        self.node.act(self.verb(verb), warrant).await
    }

    /// Removes an image file; done when it is not there.
    ///
    /// # Errors
    /// `BUSY` while another file is its clone; see [`FilesGrant`].
    pub async fn remove(&self, warrant: Warrant<'_>, name: &str) -> Result<(), Fault> {
        let verb = FilesVerb::Remove {
            name: name.to_owned(),
        };
        self.node.act(self.verb(verb), warrant).await
    }

    /// Image files by name, after `after`, at most `limit`.
    ///
    /// # Errors
    /// See [`FilesGrant`].
    pub async fn entries(&self, after: Option<&str>, limit: u32) -> Result<Vec<Entry>, Fault> {
        let verb = FilesVerb::Entries {
            after: after.map(str::to_owned),
            limit,
        };
        self.node.ask(self.verb(verb), QUESTION).await
    }

    /// The absolute path of a file on the node.
    ///
    /// # Errors
    /// `NOT_FOUND`; see [`FilesGrant`].
    pub async fn locate(&self, name: &str) -> Result<String, Fault> {
        let verb = FilesVerb::Locate {
            name: name.to_owned(),
        };
        self.node.ask(self.verb(verb), QUESTION).await
    }

    /// What a file is, if it is there; an entry of 0 bytes is what a making that was cut off left.
    ///
    /// # Errors
    /// See [`FilesGrant`].
    pub async fn inspect(&self, name: &str) -> Result<Option<Entry>, Fault> {
        let verb = FilesVerb::Inspect {
            name: name.to_owned(),
        };
        self.node.ask(self.verb(verb), QUESTION).await
    }

    /// How long work goes on.
    ///
    /// # Errors
    /// What the work ended with; `NOT_FOUND` when the node knows nothing of it; see [`FilesGrant`].
    pub async fn poll(&self, token: &str) -> Result<Outcome, Fault> {
        let verb = FilesVerb::Poll {
            token: token.to_owned(),
        };
        self.node.ask(self.verb(verb), QUESTION).await
    }

    /// Ends long work.
    ///
    /// # Errors
    /// See [`FilesGrant`].
    pub async fn cancel(&self, token: &str) -> Result<(), Fault> {
        let verb = FilesVerb::Cancel {
            token: token.to_owned(),
        };
        self.node.ask(self.verb(verb), QUESTION).await
    }
}
