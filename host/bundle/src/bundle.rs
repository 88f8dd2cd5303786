//! The bundle itself: what it is made of, and the ways in and out of it.

use std::collections::BTreeMap;

use velum_model::{name::Name, plugin::Digest};

use crate::{
    about::About,
    descriptor::{Descriptor, ImageManifest, json},
    digest,
    envelope::Envelope,
    error::{BundleError, printable, size_of},
    index::{Index, check_marker, layout_marker},
    key::SigningKey,
    limits::{self, Limits},
    media, signature,
    statement::Statement,
    tar::{self, Member},
    trust::{self, TrustedKey, Untrusted, Verified},
};

/// What a bundle is packed out of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The component's bytes.
    pub component: Vec<u8>,
    /// The text of its `plugin.toml`.
    pub manifest: String,
    /// The conformance result, as JSON.
    pub conformance: Option<Vec<u8>>,
}

/// A plugin with all that goes with it. One that exists is whole: every digest fits, every size is within its bound, and
/// name, version and world are those of its `plugin.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    about: About,
    parts: Parts,
    config: Vec<u8>,
    /// The image manifest, byte for byte as it came: its digest names the bundle.
    manifest: Vec<u8>,
    digest: Digest,
    component_digest: Digest,
    signatures: Vec<Envelope>,
}

/// A blob of a bundle, to be written somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its type.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Blob {
    fn of(media_type: &'static str, bytes: &[u8]) -> Self {
        Self {
            digest: digest(bytes),
            media_type,
            bytes: bytes.to_vec(),
        }
    }
}

impl Bundle {
    /// Packs parts. The same parts make the same bytes, whoever packs them, wherever and whenever.
    ///
    /// # Errors
    /// [`BundleError`] when a part is too large, `plugin.toml` lacks name, version or world, or the conformance result is
    /// no JSON object.
    pub fn pack(parts: Parts) -> Result<Self, BundleError> {
        check_parts(&parts, &Limits::default())?;
        let about = About::of_manifest(&parts.manifest)?;
        let config = json(&about);
        let mut layers = vec![
            Descriptor::of(media::COMPONENT, &parts.component).noted(media::TITLE, "component.wasm"),
            Descriptor::of(media::MANIFEST, parts.manifest.as_bytes()).noted(media::TITLE, "plugin.toml"),
        ];
        if let Some(result) = &parts.conformance {
            layers.push(Descriptor::of(media::CONFORMANCE, result).noted(media::TITLE, "conformance.json"));
        }
        let mut image = ImageManifest::new(media::PLUGIN, Descriptor::of(media::CONFIG, &config), layers);
        for (key, value) in [
            (media::TITLE, about.name.as_str()),
            (media::VERSION, &about.version),
        ] {
            image.annotations.insert(key.to_owned(), value.to_owned());
        }
        let manifest = json(&image);
        Ok(Self {
            digest: digest(&manifest),
            component_digest: digest(&parts.component),
            about,
            parts,
            config,
            manifest,
            signatures: Vec::new(),
        })
    }

    /// Puts together what came from a registry or a layout: the image manifest and the blobs that it lists, each under
    /// whatever digest it was asked for. Every one is computed again.
    ///
    /// # Errors
    /// [`BundleError`] names the part that is missing, too large, damaged, unknown or contradicts another.
    pub fn assemble(
        manifest: Vec<u8>,
        blobs: &BTreeMap<Digest, Vec<u8>>,
        limits: &Limits,
    ) -> Result<Self, BundleError> {
        let image = ImageManifest::parse(media::PLUGIN, &manifest)?;
        let config = take(&image.config, media::CONFIG, "config", limits::CONFIG, blobs)?;
        let (mut component, mut text, mut conformance) = (None, None, None);
        for layer in &image.layers {
            let (place, part, max) = match layer.media_type.as_str() {
                media::COMPONENT => (&mut component, "component", limits.component),
                media::MANIFEST => (&mut text, "plugin.toml", limits.manifest),
                media::CONFORMANCE => (&mut conformance, "conformance result", limits.conformance),
                other => {
                    return Err(BundleError::document(
                        "image manifest",
                        format!(
                            "a layer is of the type '{}', which is not known",
                            printable(other)
                        ),
                    ));
                }
            };
            if place.is_some() {
                return Err(BundleError::document(
                    "image manifest",
                    format!("it lists two layers that are its {part}"),
                ));
            }
            *place = Some(take(layer, &layer.media_type, part, max, blobs)?.to_vec());
        }
        let missing = |part: &str| BundleError::document("image manifest", format!("it lists no {part}"));
        let text = text.ok_or_else(|| missing("plugin.toml"))?;
        let parts = Parts {
            component: component.ok_or_else(|| missing("component"))?,
            manifest: String::from_utf8(text)
                .map_err(|_| BundleError::document("plugin.toml", "it is not UTF-8"))?,
            conformance,
        };
        check_parts(&parts, limits)?;
        let about = About::of_manifest(&parts.manifest)?;
        if About::of_config(config)? != about {
            return Err(BundleError::document(
                "config",
                "it has another name, version or world than plugin.toml",
            ));
        }
        Ok(Self {
            config: config.to_vec(),
            digest: digest(&manifest),
            component_digest: digest(&parts.component),
            about,
            parts,
            manifest,
            signatures: Vec::new(),
        })
    }

    /// Adds the signatures that lie in a signature manifest and the blobs that it lists. That they are believed is said by
    /// [`Self::verify`] alone.
    ///
    /// # Errors
    /// [`BundleError`] when the manifest is about another bundle, or a part is missing, damaged, too large or one too many.
    pub fn add_signatures(
        &mut self,
        manifest: &[u8],
        blobs: &BTreeMap<Digest, Vec<u8>>,
    ) -> Result<(), BundleError> {
        let image = ImageManifest::parse(media::SIGNATURE, manifest)?;
        for envelope in signature::envelopes(&image, &self.digest, blobs)? {
            self.keep(envelope)?;
        }
        Ok(())
    }

    /// Reads a `NAME-VERSION.velum`.
    ///
    /// # Errors
    /// [`BundleError`] says what does not fit. An archive holds one plugin and nothing that does not belong to it.
    pub fn from_tar(archive: &[u8], limits: &Limits) -> Result<Self, BundleError> {
        let (mut marker, mut index, mut blobs) = (None, None, BTreeMap::new());
        for (member, content) in tar::read(archive, limits)? {
            match member {
                Member::Marker => marker = Some(content),
                Member::Index => index = Some(content),
                Member::Blob(digest) => {
                    blobs.insert(digest, content.to_vec());
                }
            }
        }
        let missing = |file: &str| BundleError::Archive(format!("{file} is missing"));
        check_marker(marker.ok_or_else(|| missing("oci-layout"))?)?;
        let index = Index::parse(index.ok_or_else(|| missing("index.json"))?)?;
        let entry = index.plugin(None)?;
        let mut known = 1;
        let manifest = take(
            &entry.manifest,
            media::IMAGE_MANIFEST,
            "image manifest",
            limits::DOCUMENT,
            &blobs,
        )?;
        let mut bundle = Self::assemble(manifest.to_vec(), &blobs, limits)?;
        if let Some(signatures) = &entry.signatures {
            known += 1;
            let part = "signature manifest";
            let manifest = take(signatures, media::IMAGE_MANIFEST, part, limits::DOCUMENT, &blobs)?;
            bundle.add_signatures(manifest, &blobs)?;
        }
        if index.len() != known {
            return Err(BundleError::document(
                "index.json",
                "it lists something that is neither the plugin nor its signatures",
            ));
        }
        let used = bundle.files();
        if let Some(stray) = blobs.keys().find(|digest| !used.contains_key(digest)) {
            return Err(BundleError::Archive(format!(
                "nothing refers to the blob {stray}"
            )));
        }
        Ok(bundle)
    }

    /// The bytes of a `NAME-VERSION.velum`.
    #[must_use]
    pub fn to_tar(&self) -> Vec<u8> {
        let mut index = Index::default();
        index.put(self, &self.about.tag());
        let index = index.to_bytes();
        let files = self.files();
        let mut members: Vec<(Member, &[u8])> =
            vec![(Member::Marker, layout_marker()), (Member::Index, &index)];
        members.extend(
            files
                .iter()
                .map(|(digest, blob)| (Member::Blob(digest.clone()), blob.bytes.as_slice())),
        );
        tar::write(&members)
    }

    /// Signs it for a publisher. A signature of the same key is replaced, others stay.
    ///
    /// # Errors
    /// [`BundleError`] when there are too many signatures already.
    pub fn sign(&mut self, key: &SigningKey, publisher: &Name) -> Result<(), BundleError> {
        let statement = self.statement(publisher);
        let id = key.public().id();
        self.signatures.retain(|envelope| !envelope.is_only_of(&id));
        self.keep(Envelope::sign(key, media::STATEMENT, json(&statement)))
    }

    /// Whose word this bundle is, by the keys that are trusted.
    ///
    /// # Errors
    /// [`Untrusted`] says why it is nobody's.
    pub fn verify(&self, keys: &[TrustedKey]) -> Result<Verified, Untrusted> {
        trust::judge(&self.signatures, keys, |publisher| self.statement(publisher))
    }

    /// Ids of the keys that signatures claim to be of, believed or not.
    #[must_use]
    pub fn key_ids(&self) -> Vec<&str> {
        self.signatures.iter().flat_map(Envelope::key_ids).collect()
    }

    /// Name, version and world.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The component.
    #[must_use]
    pub fn component(&self) -> &[u8] {
        &self.parts.component
    }

    /// The digest of the component: the server's name for the plugin.
    #[must_use]
    pub fn component_digest(&self) -> &Digest {
        &self.component_digest
    }

    /// The text of `plugin.toml`.
    #[must_use]
    pub fn plugin_toml(&self) -> &str {
        &self.parts.manifest
    }

    /// The conformance result, if one was packed.
    #[must_use]
    pub fn conformance(&self) -> Option<&[u8]> {
        self.parts.conformance.as_deref()
    }

    /// The image manifest.
    #[must_use]
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// The digest of the image manifest, which covers all that is packed and no signature.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The blobs that the image manifest lists, config first.
    #[must_use]
    pub fn blobs(&self) -> Vec<Blob> {
        let mut blobs = vec![
            Blob::of(media::CONFIG, &self.config),
            Blob::of(media::COMPONENT, &self.parts.component),
            Blob::of(media::MANIFEST, self.parts.manifest.as_bytes()),
        ];
        if let Some(result) = &self.parts.conformance {
            blobs.push(Blob::of(media::CONFORMANCE, result));
        }
        blobs
    }

    /// The manifest that holds the signatures, with this bundle as its subject; nothing for an unsigned one.
    #[must_use]
    pub fn signature_manifest(&self) -> Option<Vec<u8>> {
        let subject = Descriptor {
            artifact_type: Some(media::PLUGIN.to_owned()),
            ..Descriptor::of(media::IMAGE_MANIFEST, &self.manifest)
        };
        (!self.signatures.is_empty()).then(|| json(&signature::manifest(&self.signatures, subject)))
    }

    /// The blobs that the signature manifest lists.
    #[must_use]
    pub fn signature_blobs(&self) -> Vec<Blob> {
        if self.signatures.is_empty() {
            return Vec::new();
        }
        let envelopes = self
            .signatures
            .iter()
            .map(|envelope| Blob::of(media::ENVELOPE, &envelope.to_bytes()));
        std::iter::once(Blob::of(media::EMPTY, media::EMPTY_BYTES))
            .chain(envelopes)
            .collect()
    }

    /// Everything that lies below `blobs/` of a layout.
    #[must_use]
    pub fn files(&self) -> BTreeMap<Digest, Blob> {
        let manifests = std::iter::once(self.manifest.clone()).chain(self.signature_manifest());
        self.blobs()
            .into_iter()
            .chain(self.signature_blobs())
            .chain(manifests.map(|bytes| Blob::of(media::IMAGE_MANIFEST, &bytes)))
            .map(|blob| (blob.digest.clone(), blob))
            .collect()
    }

    fn statement(&self, publisher: &Name) -> Statement {
        Statement {
            publisher: publisher.clone(),
            name: self.about.name.clone(),
            version: self.about.version.clone(),
            world: self.about.world,
            manifest: self.digest.clone(),
            component: self.component_digest.clone(),
        }
    }

    fn keep(&mut self, envelope: Envelope) -> Result<(), BundleError> {
        if self.signatures.contains(&envelope) {
            return Ok(());
        }
        if self.signatures.len() >= limits::SIGNATURES {
            return Err(BundleError::document(
                "signature manifest",
                format!("it has more than {} signatures", limits::SIGNATURES),
            ));
        }
        self.signatures.push(envelope);
        Ok(())
    }
}

/// A blob that a descriptor names, checked against it.
pub(crate) fn take<'a>(
    descriptor: &Descriptor,
    media_type: &str,
    part: &str,
    max: u64,
    blobs: &'a BTreeMap<Digest, Vec<u8>>,
) -> Result<&'a [u8], BundleError> {
    if descriptor.media_type != media_type {
        return Err(BundleError::document(
            part,
            format!(
                "its type is '{}', not {media_type}",
                printable(&descriptor.media_type)
            ),
        ));
    }
    BundleError::bound(part, descriptor.size, max)?;
    let bytes = blobs
        .get(&descriptor.digest)
        .ok_or_else(|| BundleError::document(part, format!("the blob {} is missing", descriptor.digest)))?;
    BundleError::bound(part, size_of(bytes), max)?;
    descriptor.check(part, bytes)?;
    Ok(bytes)
}

fn check_parts(parts: &Parts, limits: &Limits) -> Result<(), BundleError> {
    BundleError::bound("component", size_of(&parts.component), limits.component)?;
    BundleError::bound("plugin.toml", size_of(parts.manifest.as_bytes()), limits.manifest)?;
    if let Some(result) = &parts.conformance {
        BundleError::bound("conformance result", size_of(result), limits.conformance)?;
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(result).map_err(|error| {
            BundleError::document("conformance result", format!("it is no JSON object: {error}"))
        })?;
    }
    Ok(())
}
