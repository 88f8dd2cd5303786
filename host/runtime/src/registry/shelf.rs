//! The directory of plugins: components by digest, their manifests, and compiled code that this server vouches for.
//!
//! | file | what |
//! |---|---|
//! | `<digest>.wasm` | the component |
//! | `<digest>.toml` | its manifest, where it came with one |
//! | `<digest>.cwasm` | what was found in it, and its compiled code, behind a message authentication code |
//! | `key` | the key of that code, readable by this server's user alone |
//!
//! Running compiled code is believing it: without the right code over digest, engine and content it is compiled again.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use velum_model::{
    chance::Ids,
    plugin::Digest,
    port::plugins::{Inspected, PluginRefused},
};

/// Length of the authentication code at the head of a `.cwasm`.
const MAC_BYTES: usize = 32;
/// Length of the number behind it: how many bytes of what was found follow.
const LENGTH_BYTES: usize = 4;

/// See the module.
pub struct Shelf {
    directory: PathBuf,
    key: [u8; 32],
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

/// Compiled code that passed the check.
#[derive(Debug)]
pub struct Artifact {
    /// What was found when it was compiled.
    pub inspected: Inspected,
    /// The code.
    pub code: Vec<u8>,
}

impl Shelf {
    /// Opens or makes the directory and its key.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(directory: &Path, ids: &dyn Ids) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let key = key(&directory.join("key"), ids)?;
        Ok(Self {
            directory: directory.to_owned(),
            key,
        })
    }

    /// Where a component is.
    #[must_use]
    pub fn component_path(&self, digest: &Digest) -> PathBuf {
        self.path(digest, "wasm")
    }

    fn path(&self, digest: &Digest, extension: &str) -> PathBuf {
        self.directory.join(format!("{}.{extension}", digest.hex()))
    }

    /// Keeps a component and its manifest.
    ///
    /// # Errors
    /// [`PluginRefused::Server`].
    pub fn keep(
        &self,
        digest: &Digest,
        component: &[u8],
        manifest: Option<&str>,
    ) -> Result<(), PluginRefused> {
        let write = || -> io::Result<()> {
            match manifest {
                Some(text) => replace(&self.path(digest, "toml"), &[text.as_bytes()])?,
                None => forget(&self.path(digest, "toml"))?,
            }
            replace(&self.path(digest, "wasm"), &[component])?;
            // What is acknowledged survives a power cut: the names too.
            fs::File::open(&self.directory)?.sync_all()
        };
        write().map_err(|error| server("keeping it", &error))
    }

    /// The manifest that a component came with.
    ///
    /// # Errors
    /// [`PluginRefused::Server`] when it cannot be read.
    pub fn manifest(&self, digest: &Digest) -> Result<Option<String>, PluginRefused> {
        match fs::read_to_string(self.path(digest, "toml")) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(server("reading its manifest", &error)),
        }
    }

    /// A kept component, if its bytes still have its digest.
    ///
    /// # Errors
    /// [`PluginRefused::NotLoaded`] when it is not here, [`PluginRefused::Server`] when it was damaged.
    pub fn component(&self, digest: &Digest) -> Result<Vec<u8>, PluginRefused> {
        let bytes = fs::read(self.path(digest, "wasm")).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => PluginRefused::NotLoaded(digest.clone()),
            _ => server("reading it", &error),
        })?;
        if digest_of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(PluginRefused::Server(format!(
                "the file of {digest} was damaged; install it again"
            )))
        }
    }

    /// Keeps compiled code for an engine.
    ///
    /// # Errors
    /// [`PluginRefused::Server`].
    pub fn keep_code(&self, engine: &str, artifact: &Artifact) -> Result<(), PluginRefused> {
        let found = serde_json::to_vec(&artifact.inspected)
            .map_err(|error| PluginRefused::Server(format!("what was found in it: {error}")))?;
        let length = u32::try_from(found.len())
            .map_err(|_| PluginRefused::Server("what was found in it is too long".to_owned()))?
            .to_le_bytes();
        let digest = &artifact.inspected.digest;
        let mac = self
            .authentication(engine, digest, &[&length, &found, &artifact.code])
            .finalize()
            .into_bytes();
        replace(
            &self.path(digest, "cwasm"),
            &[&mac, &length, &found, &artifact.code],
        )
        .map_err(|error| server("keeping its code", &error))
    }

    /// Compiled code, and for which of the named engines; none when there is none, or when it is not what this server
    /// wrote for one of them.
    #[must_use]
    pub fn code<K>(
        &self,
        engines: impl IntoIterator<Item = (K, impl AsRef<str>)>,
        digest: &Digest,
    ) -> Option<(K, Artifact)> {
        let mut file = fs::File::open(self.path(digest, "cwasm")).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let (mac, rest) = bytes.split_at_checked(MAC_BYTES)?;
        let Some((kind, _)) = engines.into_iter().find(|(_, engine)| {
            let code = self.authentication(engine.as_ref(), digest, &[rest]);
            code.verify_slice(mac).is_ok()
        }) else {
            tracing::warn!(%digest, "compiled code is of another engine or was changed; compiling again");
            return None;
        };
        let (length, rest) = rest.split_at_checked(LENGTH_BYTES)?;
        let length = u32::from_le_bytes(length.try_into().ok()?);
        let (found, code) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        let artifact = Artifact {
            inspected: serde_json::from_slice(found).ok()?,
            code: code.to_vec(),
        };
        Some((kind, artifact))
    }

    /// Removes all of a plugin.
    ///
    /// # Errors
    /// [`PluginRefused::Server`].
    pub fn remove(&self, digest: &Digest) -> Result<(), PluginRefused> {
        for extension in ["cwasm", "wasm", "toml"] {
            forget(&self.path(digest, extension)).map_err(|error| server("removing it", &error))?;
        }
        Ok(())
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    fn authentication(&self, engine: &str, digest: &Digest, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key");
        // Both are hexadecimal of fixed length, so that no content can pass for a part of them.
        mac.update(engine.as_bytes());
        mac.update(digest.hex().as_bytes());
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

/// SHA-256 of a component's bytes.
#[must_use]
#[expect(clippy::expect_used, reason = "64 lower-case hexadecimal digits are a digest")]
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_hex(&hex::encode(Sha256::digest(bytes))).expect("a digest")
}

fn key(path: &Path, ids: &dyn Ids) -> io::Result<[u8; 32]> {
    match fs::read(path) {
        Ok(bytes) => {
            let private = fs::metadata(path)?.permissions().mode() & 0o077 == 0;
            match <[u8; 32]>::try_from(bytes) {
                // A key that others could read authenticates nothing: what it covers is compiled again.
                Ok(key) if private => return Ok(key),
                _ => {
                    tracing::warn!(path = %path.display(), "the key of compiled code is unusable; making a new one")
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let key = ids.secret();
    replace(path, &[&key])?;
    Ok(key)
}

/// Writes a file as a whole or not at all, for this user alone.
fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let beside = path.with_extension(format!(
        "{}.new",
        path.extension().and_then(|e| e.to_str()).unwrap_or_default()
    ));
    forget(&beside)?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn server(what: &str, error: &io::Error) -> PluginRefused {
    PluginRefused::Server(format!("{what}: {error}"))
}
