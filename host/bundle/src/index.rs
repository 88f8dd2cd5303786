//! What lies in a layout: its marker and its index.

use serde::{Deserialize, Serialize};
use velum_model::plugin::Digest;

use crate::{
    bundle::Bundle,
    descriptor::{Descriptor, json},
    error::{BundleError, printable, size_of},
    limits, media,
};

/// The content of the file `oci-layout`.
#[must_use]
pub fn layout_marker() -> &'static [u8] {
    br#"{"imageLayoutVersion":"1.0.0"}"#
}

/// Refuses a layout of another version.
pub(crate) fn check_marker(bytes: &[u8]) -> Result<(), BundleError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Marker {
        image_layout_version: String,
    }
    let marker: Marker = serde_json::from_slice(bytes)
        .map_err(|error| BundleError::document("oci-layout", format!("it does not parse: {error}")))?;
    if marker.image_layout_version == "1.0.0" {
        Ok(())
    } else {
        Err(BundleError::document(
            "oci-layout",
            format!(
                "version '{}' is not known",
                printable(&marker.image_layout_version)
            ),
        ))
    }
}

/// The index of a layout: every manifest in it, with its tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    manifests: Vec<Descriptor>,
}

/// A plugin in a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its manifest.
    pub manifest: Descriptor,
    /// The manifest with its signatures, if there is one.
    pub signatures: Option<Descriptor>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media::IMAGE_INDEX.to_owned()),
            manifests: Vec::new(),
        }
    }
}

impl Index {
    /// Reads the content of `index.json`.
    ///
    /// # Errors
    /// [`BundleError`] when it is too large or no index.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        BundleError::bound("index.json", size_of(bytes), limits::DOCUMENT)?;
        let index: Self = serde_json::from_slice(bytes)
            .map_err(|error| BundleError::document("index.json", format!("it does not parse: {error}")))?;
        if index.schema_version != 2 {
            return Err(BundleError::document("index.json", "its schema version is not 2"));
        }
        if index.manifests.len() > limits::INDEX_ENTRIES {
            return Err(BundleError::document(
                "index.json",
                format!("it lists more than {} manifests", limits::INDEX_ENTRIES),
            ));
        }
        Ok(index)
    }

    /// The content of `index.json`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        json(self)
    }

    /// The plugin under a tag; without one, the only plugin that there is.
    ///
    /// # Errors
    /// [`BundleError::Document`] says which tags there are, when none or several fit.
    pub fn plugin(&self, tag: Option<&str>) -> Result<Entry, BundleError> {
        let plugins: Vec<_> = self
            .manifests
            .iter()
            .filter(|m| m.artifact_type.as_deref() == Some(media::PLUGIN))
            .collect();
        let fits: Vec<_> = plugins
            .iter()
            .filter(|m| tag.is_none() || tag == tag_of(m))
            .collect();
        let [manifest] = fits.as_slice() else {
            let tags: Vec<_> = plugins.iter().filter_map(|m| tag_of(m)).map(printable).collect();
            let problem = match (tag, plugins.len()) {
                (_, 0) => "it lists no plugin".to_owned(),
                (Some(tag), _) => format!(
                    "it has not one plugin tagged '{}', but {}",
                    printable(tag),
                    tags.join(", ")
                ),
                (None, n) => format!("it lists {n} plugins ({}); name one by its tag", tags.join(", ")),
            };
            return Err(BundleError::document("index.json", problem));
        };
        Ok(Entry {
            manifest: (**manifest).clone(),
            signatures: self.signatures_of(&manifest.digest).cloned(),
        })
    }

    /// Lists a bundle under a tag, in the place of what had it, with its signatures. Blobs that nothing names any more
    /// stay where they are.
    pub fn put(&mut self, bundle: &Bundle, tag: &str) {
        let signature_tag = media::signature_tag(bundle.digest());
        self.manifests
            .retain(|m| tag_of(m) != Some(tag) && tag_of(m) != Some(signature_tag.as_str()));
        self.manifests.push(listed(bundle.manifest(), media::PLUGIN, tag));
        if let Some(signatures) = bundle.signature_manifest() {
            self.manifests
                .push(listed(&signatures, media::SIGNATURE, &signature_tag));
        }
    }

    pub(crate) fn signatures_of(&self, plugin: &Digest) -> Option<&Descriptor> {
        let tag = media::signature_tag(plugin);
        self.manifests
            .iter()
            .find(|m| m.artifact_type.as_deref() == Some(media::SIGNATURE) && tag_of(m) == Some(tag.as_str()))
    }

    pub(crate) fn len(&self) -> usize {
        self.manifests.len()
    }
}

fn tag_of(manifest: &Descriptor) -> Option<&str> {
    manifest.annotations.get(media::REF_NAME).map(String::as_str)
}

fn listed(manifest: &[u8], artifact_type: &str, tag: &str) -> Descriptor {
    Descriptor {
        artifact_type: Some(artifact_type.to_owned()),
        ..Descriptor::of(media::IMAGE_MANIFEST, manifest)
    }
    .noted(media::REF_NAME, tag)
}
