//! A registry of the OCI distribution specification (1.1), as far as a bundle needs it.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use velum_bundle::{Blob, Bundle, Descriptor, Digest, ImageManifest, Limits, media};

use super::{
    Options,
    credentials::{self, Login},
    http::{Answer, send},
    token::{self, Want},
};
use crate::{failure::Failure, text::plain};

/// Manifests have 2 kB; answers that say what is wrong have less.
const DOCUMENT: u64 = 128 << 10;
/// Registries send readers of blobs to a store behind them, and perhaps that one to another.
const REDIRECTS: usize = 3;

/// Which manifest.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// The one that a tag stands for now.
    Tag(String),
    /// The one of this digest, whatever is tagged.
    Digest(Digest),
}

/// A repository in a registry.
pub struct Repository {
    scheme: &'static str,
    host: String,
    name: String,
    login: Login,
    /// The header that lets in, once somebody asked for one.
    pass: Option<String>,
}

/// Publishes a bundle under a tag.
pub async fn put(
    host: &str,
    repository: &str,
    tag: &str,
    options: &Options,
    bundle: &Bundle,
) -> Result<(), Failure> {
    let mut repository = Repository::of(host, repository, options, credentials::of(host)?);
    Ok(repository
        .put(tag, bundle)
        .await
        .with_context(|| format!("could not publish to {repository}"))?)
}

/// Pulls a bundle with its signatures.
pub async fn get(
    host: &str,
    repository: &str,
    wanted: &Wanted,
    options: &Options,
) -> Result<Bundle, Failure> {
    let mut repository = Repository::of(host, repository, options, credentials::of(host)?);
    Ok(repository
        .get(wanted)
        .await
        .with_context(|| format!("could not pull from {repository}"))?)
}

impl std::fmt::Display for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.host, self.name)
    }
}

impl Repository {
    fn of(host: &str, name: &str, options: &Options, login: Login) -> Self {
        let plain = options.insecure_http || is_this_machine(host);
        Self {
            scheme: if plain { "http" } else { "https" },
            host: host.to_owned(),
            name: name.to_owned(),
            login,
            pass: None,
        }
    }

    /// Blobs first, then what names them.
    async fn put(&mut self, tag: &str, bundle: &Bundle) -> Result<(), anyhow::Error> {
        self.enter(Want::Push).await?;
        for blob in bundle.blobs().iter().chain(&bundle.signature_blobs()) {
            self.push_blob(blob)
                .await
                .with_context(|| format!("the blob {}", blob.digest))?;
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

    async fn get(&mut self, wanted: &Wanted) -> Result<Bundle, anyhow::Error> {
        let limits = Limits::default();
        self.enter(Want::Pull).await?;
        let name = match wanted {
            Wanted::Tag(tag) => tag.clone(),
            Wanted::Digest(digest) => digest.to_string(),
        };
        let unfit = || format!("what is under {name} is no plugin");
        let manifest = self
            .manifest(&name)
            .await?
            .ok_or_else(|| anyhow!("it has nothing under {name}"))?;
        let image = ImageManifest::parse(media::PLUGIN, &manifest).with_context(unfit)?;
        let blobs = self.blobs(&image, &limits).await?;
        let mut bundle = Bundle::assemble(manifest, &blobs, &limits).with_context(unfit)?;
        let signatures = media::signature_tag(bundle.digest());
        if let Some(manifest) = self.manifest(&signatures).await? {
            let image = ImageManifest::parse(media::SIGNATURE, &manifest).with_context(unfit)?;
            let blobs = self.blobs(&image, &limits).await?;
            bundle.add_signatures(&manifest, &blobs).with_context(unfit)?;
        }
        Ok(bundle)
    }

    /// Signs in, where the registry asks for it.
    async fn enter(&mut self, want: Want) -> Result<(), anyhow::Error> {
        if let Login::Bearer(token) = &self.login {
            self.pass = Some(format!("Bearer {token}"));
            return Ok(());
        }
        let answer = self
            .ask(
                Method::GET,
                &self.address("")?,
                Vec::new(),
                Bytes::new(),
                DOCUMENT,
            )
            .await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(());
        }
        let challenge = answer
            .header(&header::WWW_AUTHENTICATE)
            .context("it asks for credentials, and does not say which")?;
        self.pass = token::pass(challenge, &self.login, want, &self.name, self.scheme).await?;
        Ok(())
    }

    async fn push_blob(&self, blob: &Blob) -> Result<(), anyhow::Error> {
        let place = self.address(&format!("{}/blobs/{}", self.name, blob.digest))?;
        let there = self
            .ask(Method::HEAD, &place, Vec::new(), Bytes::new(), DOCUMENT)
            .await?;
        if there.status == StatusCode::OK {
            return Ok(());
        }
        let uploads = self.address(&format!("{}/blobs/uploads/", self.name))?;
        let begun = self
            .ask(Method::POST, &uploads, Vec::new(), Bytes::new(), DOCUMENT)
            .await?;
        expect(&begun, StatusCode::ACCEPTED, "begin an upload")?;
        let location = begun
            .header(&header::LOCATION)
            .context("it does not say where to upload to")?;
        let joint = if location.contains('?') { '&' } else { '?' };
        let place = self.follow(&uploads, &format!("{location}{joint}digest={}", blob.digest))?;
        let kind = vec![(header::CONTENT_TYPE, "application/octet-stream".to_owned())];
        let done = self
            .ask(Method::PUT, &place, kind, blob.bytes.clone().into(), DOCUMENT)
            .await?;
        expect(&done, StatusCode::CREATED, "end an upload")
    }

    async fn push_manifest(&self, name: &str, manifest: Vec<u8>) -> Result<(), anyhow::Error> {
        let place = self.address(&format!("{}/manifests/{name}", self.name))?;
        let kind = vec![(header::CONTENT_TYPE, media::IMAGE_MANIFEST.to_owned())];
        let done = self
            .ask(Method::PUT, &place, kind, manifest.into(), DOCUMENT)
            .await?;
        expect(&done, StatusCode::CREATED, &format!("take the manifest {name}"))
    }

    /// A manifest; none when the registry has it not.
    async fn manifest(&self, name: &str) -> Result<Option<Vec<u8>>, anyhow::Error> {
        let place = self.address(&format!("{}/manifests/{name}", self.name))?;
        let kind = vec![(header::ACCEPT, media::IMAGE_MANIFEST.to_owned())];
        let answer = self
            .ask(Method::GET, &place, kind, Bytes::new(), DOCUMENT)
            .await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        expect(&answer, StatusCode::OK, &format!("give the manifest {name}"))?;
        Ok(Some(answer.body))
    }

    /// The blobs of an image, none larger than its descriptor says.
    async fn blobs(
        &self,
        image: &ImageManifest,
        limits: &Limits,
    ) -> Result<BTreeMap<Digest, Vec<u8>>, anyhow::Error> {
        let mut blobs = BTreeMap::new();
        for descriptor in super::bounded(image, limits)? {
            let bytes = self
                .blob(descriptor)
                .await
                .with_context(|| format!("the blob {}", descriptor.digest))?;
            blobs.insert(descriptor.digest.clone(), bytes);
        }
        Ok(blobs)
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, anyhow::Error> {
        let mut place = self.address(&format!("{}/blobs/{}", self.name, descriptor.digest))?;
        for _ in 0..=REDIRECTS {
            let most = descriptor.size.max(DOCUMENT);
            let answer = self
                .ask(Method::GET, &place, Vec::new(), Bytes::new(), most)
                .await?;
            if !answer.status.is_redirection() {
                expect(&answer, StatusCode::OK, "give it")?;
                return Ok(answer.body);
            }
            let location = answer
                .header(&header::LOCATION)
                .context("it sends elsewhere and does not say where")?;
            place = self.follow(&place, location)?;
        }
        bail!("it sent elsewhere more than {REDIRECTS} times")
    }

    fn address(&self, path: &str) -> Result<Uri, anyhow::Error> {
        format!("{}://{}/v2/{path}", self.scheme, self.host)
            .parse()
            .with_context(|| format!("{} is no address of a registry", self.host))
    }

    /// Where a `Location` leads; never from TLS to without.
    fn follow(&self, from: &Uri, location: &str) -> Result<Uri, anyhow::Error> {
        let authority = from.authority().context("the address names no host")?;
        let text = if location.starts_with('/') {
            format!("{}://{authority}{location}", self.scheme)
        } else {
            location.to_owned()
        };
        let place: Uri = text
            .parse()
            .with_context(|| format!("it names '{}', which is no address", plain(location)))?;
        match place.scheme_str() {
            Some("https") => Ok(place),
            Some("http") if self.scheme == "http" => Ok(place),
            _ => bail!("it names '{}', which is not behind TLS", plain(location)),
        }
    }

    /// Sends a request. What lets in goes to the registry alone, wherever it sends to.
    async fn ask(
        &self,
        method: Method,
        place: &Uri,
        headers: Vec<(header::HeaderName, String)>,
        body: Bytes,
        most: u64,
    ) -> Result<Answer, anyhow::Error> {
        let mut request = Request::builder().method(method).uri(place);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let is_home = place.authority().is_some_and(|at| at.as_str() == self.host);
        if let Some(pass) = self.pass.as_deref().filter(|_| is_home) {
            request = request.header(header::AUTHORIZATION, pass);
        }
        send(request.body(body)?, most).await
    }
}

/// Refuses another status, with the registry's own words.
fn expect(answer: &Answer, wanted: StatusCode, what: &str) -> Result<(), anyhow::Error> {
    if answer.status == wanted {
        return Ok(());
    }
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let words = said
        .pointer("/errors/0/message")
        .and_then(serde_json::Value::as_str)
        .map_or_else(String::new, |words| format!(": {}", plain(words)));
    bail!("it does not {what}: {}{words}", answer.status)
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

#[cfg(test)]
mod tests;
