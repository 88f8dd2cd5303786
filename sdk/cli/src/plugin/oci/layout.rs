//! An OCI image layout: a directory of blobs by digest, and an index.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, anyhow};
use velum_bundle::{Bundle, Descriptor, Digest, ImageManifest, Index, Limits, layout_marker, media};

use crate::{failure::Failure, plugin::file};

/// An index has at most as many bytes as its reader takes.
const INDEX_BYTES: u64 = 128 << 10;

/// Writes a bundle into a layout and lists it under a tag.
pub fn put(dir: &Path, bundle: &Bundle, tag: &str) -> Result<(), Failure> {
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs)
        .with_context(|| format!("could not make the folder {}", blobs.display()))?;
    for (digest, blob) in bundle.files() {
        file::write(&blobs.join(digest.hex()), &blob.bytes)?;
    }
    file::write(&dir.join("oci-layout"), layout_marker())?;
    let path = dir.join("index.json");
    let mut index = if path.exists() {
        index(&path)?
    } else {
        Index::default()
    };
    index.put(bundle, tag);
    // Last: what the index names is there.
    file::write(&path, &index.to_bytes())
}

/// Reads a bundle out of a layout: the one with this tag, or the only one.
pub fn get(dir: &Path, tag: Option<&str>) -> Result<Bundle, Failure> {
    let path = dir.join("index.json");
    if !path.exists() {
        return Err(Failure::Local(anyhow!(
            "{} is no image layout: it has no index.json",
            dir.display()
        )));
    }
    let entry = index(&path)?
        .plugin(tag)
        .with_context(|| format!("{} has not what was asked for", dir.display()))?;
    let limits = Limits::default();
    let damaged = || format!("the layout {} is damaged", dir.display());
    let manifest = blob(dir, &entry.manifest, &limits)?;
    let image = ImageManifest::parse(media::PLUGIN, &manifest).with_context(damaged)?;
    if velum_bundle::digest(&manifest) != entry.manifest.digest {
        return Err(Failure::Local(anyhow!(
            "{}: its image manifest is not what its digest says",
            damaged()
        )));
    }
    let mut bundle =
        Bundle::assemble(manifest, &blobs(dir, &image, &limits)?, &limits).with_context(damaged)?;
    if let Some(signatures) = &entry.signatures {
        let manifest = blob(dir, signatures, &limits)?;
        let image = ImageManifest::parse(media::SIGNATURE, &manifest).with_context(damaged)?;
        bundle
            .add_signatures(&manifest, &blobs(dir, &image, &limits)?)
            .with_context(damaged)?;
    }
    Ok(bundle)
}

fn index(path: &Path) -> Result<Index, Failure> {
    let text = file::read(path, INDEX_BYTES)?;
    Ok(Index::parse(&text).with_context(|| format!("could not use {}", path.display()))?)
}

fn blobs(dir: &Path, image: &ImageManifest, limits: &Limits) -> Result<BTreeMap<Digest, Vec<u8>>, Failure> {
    super::bounded(image, limits)?
        .into_iter()
        .map(|descriptor| Ok((descriptor.digest.clone(), blob(dir, descriptor, limits)?)))
        .collect()
}

fn blob(dir: &Path, descriptor: &Descriptor, limits: &Limits) -> Result<Vec<u8>, Failure> {
    file::read(
        &dir.join("blobs/sha256").join(descriptor.digest.hex()),
        limits.blob(),
    )
}

#[cfg(test)]
mod tests {
    use velum_bundle::{Name, Parts, SigningKey, TrustedKey};

    use super::*;

    fn bundle(version: &str) -> Bundle {
        Bundle::pack(Parts {
            component: b"\0asm".to_vec(),
            manifest: format!("name = \"a\"\nversion = \"{version}\"\nworld = \"placement-policy\"\n"),
            conformance: None,
        })
        .unwrap()
    }

    #[test]
    fn several_versions_lie_in_one_layout_with_their_signatures() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::from_seed([7; 32]).unwrap();
        let acme = Name::new("acme").unwrap();
        let mut first = bundle("1.0.0");
        first.sign(&key, &acme).unwrap();
        put(dir.path(), &first, "1.0.0").unwrap();
        put(dir.path(), &bundle("1.1.0"), "1.1.0").unwrap();
        let back = get(dir.path(), Some("1.0.0")).unwrap();
        assert_eq!(back, first);
        let trusted = TrustedKey {
            publisher: acme,
            key: key.public(),
            revoked: false,
        };
        assert!(back.verify(&[trusted]).is_ok());
        assert_eq!(get(dir.path(), Some("1.1.0")).unwrap(), bundle("1.1.0"));
        let Err(Failure::Local(error)) = get(dir.path(), None) else {
            panic!("one of two was chosen")
        };
        assert!(format!("{error:#}").contains("1.0.0, 1.1.0"), "{error:#}");
    }

    #[test]
    fn a_blob_that_was_changed_on_disk_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = bundle("1.0.0");
        put(dir.path(), &bundle, "1.0.0").unwrap();
        for digest in bundle.files().keys() {
            let path = dir.path().join("blobs/sha256").join(digest.hex());
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, [&whole[..], b" "].concat()).unwrap();
            assert!(get(dir.path(), None).is_err(), "{digest}");
            std::fs::write(&path, whole).unwrap();
        }
        assert!(get(dir.path(), None).is_ok());
    }
}
