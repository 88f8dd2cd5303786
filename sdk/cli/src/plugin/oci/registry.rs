//! A registry of the OCI distribution specification.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, anyhow};
use futures::StreamExt as _;
use oci_client::{
    Client, Reference, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    errors::{OciDistributionError, OciErrorCode},
    secrets::RegistryAuth,
};
use velum_bundle::{Blob, Bundle, Descriptor, Digest, ImageManifest, Limits, media};

use super::{Options, credentials};
use crate::failure::Failure;

/// A registry that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);
/// A connection within one continent takes a tenth of it.
const CONNECT: Duration = Duration::from_secs(10);

/// Which manifest.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// The one that a tag stands for now.
    Tag(String),
    /// The one of this digest, whatever is tagged.
    Digest(Digest),
}

/// A repository that is open.
struct Repository {
    client: Client,
    host: String,
    name: String,
    auth: RegistryAuth,
}

impl Repository {
    fn open(host: &str, name: &str, options: &Options, auth: RegistryAuth) -> Result<Self, Failure> {
        let plain = options.insecure_http || is_this_machine(host);
        let config = ClientConfig {
            protocol: if plain {
                ClientProtocol::Http
            } else {
                ClientProtocol::Https
            },
            use_monolithic_push: true,
            read_timeout: Some(SILENCE),
            connect_timeout: Some(CONNECT),
            user_agent: concat!("velum/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        // Whoever was first in this process chose the same.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let client = Client::try_from(config).context("could not make a client for registries")?;
        Ok(Self {
            client,
            host: host.to_owned(),
            name: name.to_owned(),
            auth,
        })
    }

    fn tagged(&self, tag: &str) -> Reference {
        Reference::with_tag(self.host.clone(), self.name.clone(), tag.to_owned())
    }

    fn digested(&self, digest: &Digest) -> Reference {
        Reference::with_digest(self.host.clone(), self.name.clone(), digest.to_string())
    }

    /// Signs in, where the registry asks for it.
    async fn enter(&self, operation: RegistryOperation) -> Result<(), Failure> {
        self.client
            .auth(&self.tagged("latest"), &self.auth, operation)
            .await
            .map(|_| ())
            .map_err(|error| self.failed("sign in to", &error))
    }

    async fn push_blob(&self, blob: &Blob) -> Result<(), Failure> {
        let reference = self.digested(&blob.digest);
        let digest = blob.digest.to_string();
        let there = self.client.blob_exists(&reference, &digest).await;
        if there.is_ok_and(|there| there) {
            return Ok(());
        }
        self.client
            .push_blob(&reference, blob.bytes.clone(), &digest)
            .await
            .map(|_| ())
            .map_err(|error| self.failed("push a blob to", &error))
    }

    async fn push_manifest(&self, tag: &str, manifest: Vec<u8>) -> Result<(), Failure> {
        let kind = http::HeaderValue::from_static(media::IMAGE_MANIFEST);
        self.client
            .push_manifest_raw(&self.tagged(tag), manifest, kind)
            .await
            .map(|_| ())
            .map_err(|error| self.failed(&format!("push the manifest {tag} to"), &error))
    }

    /// A manifest; none when the registry has it not.
    async fn manifest(&self, reference: &Reference) -> Result<Option<Vec<u8>>, Failure> {
        let accepted = [media::IMAGE_MANIFEST];
        match self
            .client
            .pull_manifest_raw(reference, &self.auth, &accepted)
            .await
        {
            Ok((bytes, _)) => Ok(Some(bytes.to_vec())),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(self.failed("pull a manifest from", &error)),
        }
    }

    /// The blobs of an image, none larger than its descriptor says.
    async fn blobs(
        &self,
        image: &ImageManifest,
        limits: &Limits,
    ) -> Result<BTreeMap<Digest, Vec<u8>>, Failure> {
        let mut blobs = BTreeMap::new();
        for descriptor in super::bounded(image, limits)? {
            let bytes = self.blob(descriptor).await?;
            blobs.insert(descriptor.digest.clone(), bytes);
        }
        Ok(blobs)
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Failure> {
        let reference = self.digested(&descriptor.digest);
        let digest = descriptor.digest.to_string();
        let mut stream = self
            .client
            .pull_blob_stream(&reference, digest.as_str())
            .await
            .map_err(|error| self.failed("pull a blob from", &error))?;
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.with_context(|| format!("could not read a blob from {}", self.host))?;
            bytes.extend_from_slice(&chunk);
            if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > descriptor.size {
                return Err(Failure::Local(anyhow!(
                    "the blob {digest} of {} is longer than its manifest says",
                    self.host
                )));
            }
        }
        Ok(bytes)
    }

    /// Blobs first, then what names them.
    async fn put(&self, tag: &str, bundle: &Bundle) -> Result<(), Failure> {
        self.enter(RegistryOperation::Push).await?;
        for blob in bundle.blobs().iter().chain(&bundle.signature_blobs()) {
            self.push_blob(blob).await?;
        }
        self.push_manifest(tag, bundle.manifest().to_vec()).await?;
        match bundle.signature_manifest() {
            Some(signatures) => {
                let tag = media::signature_tag(bundle.digest());
                self.push_manifest(&tag, signatures).await
            }
            None => Ok(()),
        }
    }

    async fn get(&self, wanted: &Wanted) -> Result<Bundle, Failure> {
        let limits = Limits::default();
        self.enter(RegistryOperation::Pull).await?;
        let (reference, name) = match wanted {
            Wanted::Tag(tag) => (self.tagged(tag), tag.clone()),
            Wanted::Digest(digest) => (self.digested(digest), digest.to_string()),
        };
        let unfit = || format!("{name} of {}/{} is no plugin", self.host, self.name);
        let nothing = || anyhow!("{}/{} has nothing under {name}", self.host, self.name);
        let manifest = self.manifest(&reference).await?.ok_or_else(nothing)?;
        let image = ImageManifest::parse(media::PLUGIN, &manifest).with_context(unfit)?;
        let blobs = self.blobs(&image, &limits).await?;
        let mut bundle = Bundle::assemble(manifest, &blobs, &limits).with_context(unfit)?;
        let signatures = self.tagged(&media::signature_tag(bundle.digest()));
        if let Some(manifest) = self.manifest(&signatures).await? {
            let image = ImageManifest::parse(media::SIGNATURE, &manifest).with_context(unfit)?;
            let blobs = self.blobs(&image, &limits).await?;
            bundle.add_signatures(&manifest, &blobs).with_context(unfit)?;
        }
        Ok(bundle)
    }

    fn failed(&self, attempt: &str, error: &OciDistributionError) -> Failure {
        Failure::Local(anyhow!(
            "could not {attempt} {}/{}: {}",
            self.host,
            self.name,
            crate::failure::chain(error)
        ))
    }
}

/// Publishes a bundle under a tag.
pub async fn put(
    host: &str,
    repository: &str,
    tag: &str,
    options: &Options,
    bundle: &Bundle,
) -> Result<(), Failure> {
    Repository::open(host, repository, options, credentials::of(host)?)?
        .put(tag, bundle)
        .await
}

/// Pulls a bundle with its signatures.
pub async fn get(
    host: &str,
    repository: &str,
    wanted: &Wanted,
    options: &Options,
) -> Result<Bundle, Failure> {
    Repository::open(host, repository, options, credentials::of(host)?)?
        .get(wanted)
        .await
}

/// Whether a registry is on this machine, where nobody listens between.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn is_absence(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) => true,
        OciDistributionError::ServerError { code, .. } => *code == 404,
        OciDistributionError::RegistryError { envelope, .. } => envelope.errors.iter().any(|error| {
            matches!(
                error.code,
                OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound
            )
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
