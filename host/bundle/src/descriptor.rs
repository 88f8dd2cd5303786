//! What OCI says about a blob, and the manifest that lists blobs (image-spec 1.1).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use velum_model::plugin::Digest;

use crate::{
    digest,
    error::{BundleError, printable, size_of},
    limits, media,
};

/// A blob by its type, digest and size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    pub media_type: String,
    /// Their digest.
    pub digest: Digest,
    /// How many.
    pub size: u64,
    /// Of a manifest: what it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Words for other tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Of bytes that are here.
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest(bytes),
            size: size_of(bytes),
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }

    pub(crate) fn noted(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Refuses bytes that are not what this says.
    pub(crate) fn check(&self, part: &str, bytes: &[u8]) -> Result<(), BundleError> {
        let got = digest(bytes);
        if got != self.digest {
            return Err(BundleError::Damaged {
                part: part.to_owned(),
                named: self.digest.clone(),
                got,
            });
        }
        if size_of(bytes) != self.size {
            return Err(BundleError::document(
                part,
                format!(
                    "it has {} bytes, and its descriptor says {}",
                    bytes.len(),
                    self.size
                ),
            ));
        }
        Ok(())
    }
}

/// An image manifest: a plugin's, or the one that holds its signatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// [`media::IMAGE_MANIFEST`].
    #[serde(default)]
    pub media_type: String,
    /// [`media::PLUGIN`] or [`media::SIGNATURE`].
    #[serde(default)]
    pub artifact_type: String,
    /// The config blob.
    pub config: Descriptor,
    /// What it is made of.
    pub layers: Vec<Descriptor>,
    /// Of signatures: the manifest that they are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Words for other tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl ImageManifest {
    pub(crate) fn new(artifact_type: &str, config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: media::IMAGE_MANIFEST.to_owned(),
            artifact_type: artifact_type.to_owned(),
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Reads a manifest of ours.
    ///
    /// # Errors
    /// [`BundleError`] when it is too large, is no image manifest, or stands for something else.
    pub fn parse(artifact_type: &str, bytes: &[u8]) -> Result<Self, BundleError> {
        let part = part_of(artifact_type);
        BundleError::bound(part, size_of(bytes), limits::DOCUMENT)?;
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|error| BundleError::document(part, format!("it is no image manifest: {error}")))?;
        if manifest.schema_version != 2 || manifest.media_type != media::IMAGE_MANIFEST {
            return Err(BundleError::document(
                part,
                "it is no OCI image manifest of schema version 2",
            ));
        }
        if manifest.artifact_type != artifact_type {
            return Err(BundleError::document(
                part,
                format!(
                    "it stands for '{}', not for {artifact_type}",
                    printable(&manifest.artifact_type)
                ),
            ));
        }
        Ok(manifest)
    }

    /// Every blob that it lists, config first: what a registry or a layout is asked for.
    #[must_use]
    pub fn blobs(&self) -> Vec<&Descriptor> {
        std::iter::once(&self.config).chain(&self.layers).collect()
    }
}

pub(crate) fn part_of(artifact_type: &str) -> &'static str {
    if artifact_type == media::SIGNATURE {
        "signature manifest"
    } else {
        "image manifest"
    }
}

/// JSON of a document of ours. Nothing in them can fail to be written.
#[expect(
    clippy::expect_used,
    reason = "structs of strings, numbers and maps with string keys always serialize"
)]
pub(crate) fn json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("a document of strings serializes")
}
