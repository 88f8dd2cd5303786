//! Where bundles are kept: an image layout on disk, a registry.

mod credentials;
mod http;
mod layout;
mod registry;
mod token;

use std::path::PathBuf;

use anyhow::anyhow;
use velum_bundle::{Bundle, Descriptor, Digest, ImageManifest, Limits};

use crate::failure::Failure;

/// How a registry is reached.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct Options {
    /// Speaks to the registry without TLS (one on this machine is, without asking).
    #[arg(long)]
    pub insecure_http: bool,
}

/// A place for bundles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    at: At,
    tag: Option<String>,
    digest: Option<Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    Layout(PathBuf),
    Registry { host: String, repository: String },
}

impl Place {
    /// Whether a text is meant as a place.
    pub fn is_one(text: &str) -> bool {
        text.starts_with("oci:")
    }

    /// Reads `oci://HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]` or `oci:DIR[:TAG][@DIGEST]`.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::usage(format!(
                "'{text}' is no place for a plugin: {why} (oci://HOST/REPOSITORY:TAG or oci:DIR:TAG)"
            ))
        };
        let rest = text
            .strip_prefix("oci:")
            .ok_or_else(|| wrong("it begins with oci:"))?;
        let (rest, digest) = match rest.rsplit_once("@sha256:") {
            None => (rest, None),
            Some((rest, hex)) => {
                let digest = Digest::from_hex(hex).map_err(|error| wrong(&error.to_string()))?;
                (rest, Some(digest))
            }
        };
        // A colon before the last slash belongs to a port or to a folder.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong(
                "its tag has other characters than a-z, A-Z, 0-9, '.', '_' and '-', or too many",
            ));
        }
        let at = match name.strip_prefix("//") {
            None if name.is_empty() => return Err(wrong("it names no folder")),
            None => At::Layout(PathBuf::from(name)),
            Some(registry) => {
                let (host, repository) = registry
                    .split_once('/')
                    .filter(|(host, repository)| !host.is_empty() && is_repository(repository))
                    .ok_or_else(|| {
                        wrong("a registry has a host and a repository of a-z, 0-9, '.', '_', '-' and '/'")
                    })?;
                At::Registry {
                    host: host.to_owned(),
                    repository: repository.to_owned(),
                }
            }
        };
        Ok(Self { at, tag, digest })
    }
}

/// Blobs of one image: config, component, manifest and conformance result, or an empty config and eight signatures.
const BLOBS: usize = 9;

/// What an image lists, unless it is more than a bundle is allowed to be: nothing is fetched for what would be refused.
fn bounded<'a>(image: &'a ImageManifest, limits: &Limits) -> Result<Vec<&'a Descriptor>, anyhow::Error> {
    let blobs = image.blobs();
    let size = blobs
        .iter()
        .fold(0_u64, |sum, blob| sum.saturating_add(blob.size));
    if blobs.len() > BLOBS || size > limits.archive() {
        return Err(anyhow!(
            "the image lists {} blobs of {size} bytes in all; a plugin has at most {BLOBS} of {}",
            blobs.len(),
            limits.archive()
        ));
    }
    Ok(blobs)
}

/// The distribution specification's rule for tags.
fn is_tag(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=128).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with(['.', '-'])
}

/// The distribution specification's rule for repositories, near enough to keep a name inside its path.
fn is_repository(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    let part =
        |part: &str| part.bytes().all(fits) && part.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    text.len() <= 255 && text.split('/').all(part)
}

/// Puts a bundle somewhere; answers the whole name under which it is there.
pub async fn put(place: &Place, options: &Options, bundle: &Bundle) -> Result<String, Failure> {
    if place.digest.is_some() {
        return Err(Failure::usage(
            "a digest follows from what is published: name a tag, or nothing",
        ));
    }
    let tag = place.tag.clone().unwrap_or_else(|| bundle.about().tag());
    match &place.at {
        At::Layout(dir) => {
            layout::put(dir, bundle, &tag)?;
            Ok(format!("oci:{}:{tag}", dir.display()))
        }
        At::Registry { host, repository } => {
            registry::put(host, repository, &tag, options, bundle).await?;
            Ok(format!("oci://{host}/{repository}:{tag}"))
        }
    }
}

/// Gets a bundle, every digest of it checked.
pub async fn get(place: &Place, options: &Options) -> Result<Bundle, Failure> {
    let bundle = match &place.at {
        At::Layout(dir) => layout::get(dir, place.tag.as_deref())?,
        At::Registry { host, repository } => {
            let wanted = match (&place.digest, &place.tag) {
                (Some(digest), _) => registry::Wanted::Digest(digest.clone()),
                (None, Some(tag)) => registry::Wanted::Tag(tag.clone()),
                (None, None) => {
                    return Err(Failure::usage(format!(
                        "which version? Name it: oci://{host}/{repository}:VERSION"
                    )));
                }
            };
            registry::get(host, repository, &wanted, options).await?
        }
    };
    match &place.digest {
        Some(digest) if digest != bundle.digest() => Err(Failure::Local(anyhow!(
            "what is there is not what was asked for: its digest is {}",
            bundle.digest()
        ))),
        _ => Ok(bundle),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Place::parse(text).unwrap()
    }

    #[test]
    fn places_are_read_as_they_are_written() {
        let registry = |host: &str, repository: &str| At::Registry {
            host: host.to_owned(),
            repository: repository.to_owned(),
        };
        let plain = place("oci://ghcr.io/acme/coolest");
        assert_eq!(plain.at, registry("ghcr.io", "acme/coolest"));
        assert_eq!(plain.tag, None);
        let port = place("oci://localhost:5000/coolest:0.1.0");
        assert_eq!(port.at, registry("localhost:5000", "coolest"));
        assert_eq!(port.tag.as_deref(), Some("0.1.0"));
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = place(&format!("oci:./out:1@{digest}"));
        assert_eq!(pinned.at, At::Layout("./out".into()));
        assert_eq!(pinned.digest.unwrap().as_str(), digest);
        assert_eq!(place("oci:a:b/c").at, At::Layout("a:b/c".into()));
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for odd in [
            "ghcr.io/x:1",
            "oci:",
            "oci://",
            "oci://host",
            "oci:///x",
            "oci://host/../x",
            "oci://host/X",
            "oci:dir:-x",
            "oci:dir@sha256:12",
        ] {
            assert!(matches!(Place::parse(odd), Err(Failure::Usage(_))), "{odd}");
        }
    }
}
