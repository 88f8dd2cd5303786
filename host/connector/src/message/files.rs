//! What `velum:connect/files` asks of a node: image files in the one directory of a pool.
//!
//! A name is one path component: 1 to 128 characters out of `a-z 0-9 . _ -`, not beginning with a dot.

use serde::{Deserialize, Serialize};

/// What is wanted in the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilesVerb {
    /// Answers `velum_model::port::storage::Space`.
    Space,
    /// Makes an image file (effect); done when it is there as wanted. Answers `Outcome`.
    Create {
        /// Its name.
        name: String,
        /// See `velum_model::port::storage::registry::FORMAT_*`.
        format: u16,
        /// The size that a guest sees.
        bytes: u64,
        /// The file of the same directory that it is a copy-on-write clone of (qcow2 only).
        backing: Option<String>,
    },
    /// Copies an image file into a new one of its own (effect). Answers `Outcome`; work that takes long has the
    /// effect's id as token.
    Copy {
        /// What is copied.
        source: String,
        /// The new name.
        name: String,
        /// Format of the copy.
        format: u16,
    },
    /// Makes an image file larger (effect); done when it has that size. Answers `null`.
    Resize {
        /// Its name.
        name: String,
        /// The new size.
        bytes: u64,
    },
    /// Removes an image file (effect); done when it is not there. Refused while another is its clone. Answers `null`.
    Remove {
        /// Its name.
        name: String,
    },
    /// Image files by name. Answers `Vec<Entry>`.
    Entries {
        /// Names after this one.
        after: Option<String>,
        /// At most so many, and at most [`MAX_ENTRIES`].
        limit: u32,
    },
    /// Where a file lies: what an attachment says. Answers its absolute path: `String`.
    Locate {
        /// Its name.
        name: String,
    },
    /// What a file is; an entry of 0 bytes is what a making that was cut off left. Answers `Option<Entry>`.
    Inspect {
        /// Its name.
        name: String,
    },
    /// How long work goes on. Answers `Outcome`; `NOT_FOUND` when the node knows nothing of it: ask for it again.
    Poll {
        /// The token.
        token: String,
    },
    /// Ends long work; done when there is none. Answers `null`.
    Cancel {
        /// The token.
        token: String,
    },
}

/// The most entries in one answer: each costs the node the reading of a header and a frame some 300 bytes.
pub const MAX_ENTRIES: u32 = 1000;

impl FilesVerb {
    /// Whether it changes something under a fence. Cancelling only ends what an effect began, by its token.
    #[must_use]
    pub const fn is_effect(&self) -> bool {
        matches!(
            self,
            Self::Create { .. } | Self::Copy { .. } | Self::Resize { .. } | Self::Remove { .. }
        )
    }
}

/// One image file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// See `velum_model::port::storage::registry::FORMAT_*`, as it was made, never probed; 0 when not made through here.
    pub format: u16,
    /// The size that a guest sees.
    pub virtual_bytes: u64,
    /// What it occupies.
    pub allocated_bytes: u64,
    /// The file that it is a clone of.
    pub backing: Option<String>,
    /// Id of the effect that made it; empty when it was not made through here.
    pub owner: String,
}
