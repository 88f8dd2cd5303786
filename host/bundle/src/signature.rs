//! The manifest that holds a bundle's signatures: one layer an envelope, the bundle as its subject.

use std::collections::BTreeMap;

use velum_model::plugin::Digest;

use crate::{
    bundle::take,
    descriptor::{Descriptor, ImageManifest},
    envelope::Envelope,
    error::BundleError,
    limits, media,
};

const PART: &str = "signature manifest";

/// The manifest for some envelopes.
pub fn manifest(envelopes: &[Envelope], subject: Descriptor) -> ImageManifest {
    let layers = envelopes
        .iter()
        .map(|envelope| Descriptor::of(media::ENVELOPE, &envelope.to_bytes()))
        .collect();
    let config = Descriptor::of(media::EMPTY, media::EMPTY_BYTES);
    ImageManifest {
        subject: Some(subject),
        ..ImageManifest::new(media::SIGNATURE, config, layers)
    }
}

/// The envelopes that a manifest lists, when it is about this bundle.
pub fn envelopes(
    image: &ImageManifest,
    bundle: &Digest,
    blobs: &BTreeMap<Digest, Vec<u8>>,
) -> Result<Vec<Envelope>, BundleError> {
    let subject = image
        .subject
        .as_ref()
        .ok_or_else(|| BundleError::document(PART, "it has no subject"))?;
    if subject.digest != *bundle {
        return Err(BundleError::document(
            PART,
            format!("it is about {}, and the bundle is {bundle}", subject.digest),
        ));
    }
    if image.layers.len() > limits::SIGNATURES {
        return Err(BundleError::document(
            PART,
            format!("it has more than {} signatures", limits::SIGNATURES),
        ));
    }
    image
        .layers
        .iter()
        .map(|layer| {
            take(layer, media::ENVELOPE, "signature", limits::ENVELOPE, blobs).and_then(Envelope::parse)
        })
        .collect()
}
