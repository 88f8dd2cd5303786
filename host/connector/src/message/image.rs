//! What an image store in a directory asks of its node. Mirrors `velum_model::port::image::ImageStore`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is wanted of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageVerb {
    /// Whether it works. Answers the free bytes: `u64`.
    Probe,
    /// Bytes of an unfinished upload that arrived. Answers `u64`.
    Received {
        /// Which image.
        image: Uuid,
    },
    /// Appends the body of the frame. Answers the new length: `u64`.
    Write {
        /// Which image.
        image: Uuid,
        /// Must be what has arrived.
        offset: u64,
    },
    /// Ends an upload. Answers `InspectedImage`.
    Finish {
        /// Which image.
        image: Uuid,
        /// Format of the upload, see `velum_model::port::storage::registry::FORMAT_*`.
        format: u16,
        /// SHA-256 of the upload, hexadecimal.
        sha256: String,
    },
    /// Removes an image, finished or not. Answers `null`.
    Remove {
        /// Which image.
        image: Uuid,
    },
}

impl ImageVerb {
    /// Whether it changes something.
    #[must_use]
    pub const fn may_change(&self) -> bool {
        matches!(
            self,
            Self::Write { .. } | Self::Finish { .. } | Self::Remove { .. }
        )
    }
}
