//! How a component becomes a plugin: admitted, recognized, compiled, kept, linked.

mod admit;
mod compile;
mod contract;
mod fit;
mod manifest;
mod shape;
mod shelf;

use std::{path::Path, sync::Arc, time::Duration};

use tokio::sync::Mutex;
use velum_model::{
    chance::Ids,
    plugin::{Digest, Manifest},
    port::plugins::{Inspected, PluginRefused},
};
use wasmtime::component::Component;

pub use self::compile::{ARGUMENT, Compiler, compile_child_main};
use self::{
    shape::Shape,
    shelf::{Artifact, Shelf},
};
use crate::{
    engine::{EngineKind, compatibility},
    limits::Limits,
};

/// An engine and the name of what its compiled code depends on.
pub struct NamedEngine {
    /// The engine.
    pub engine: wasmtime::Engine,
    name: String,
}

impl NamedEngine {
    /// Builds the engine of a kind.
    ///
    /// # Errors
    /// When this machine cannot run it.
    pub fn new(kind: EngineKind) -> wasmtime::Result<Self> {
        let engine = kind.engine()?;
        let name = compatibility(&engine);
        Ok(Self { engine, name })
    }
}

/// The way from bytes to code.
pub struct Registry {
    shelf: Shelf,
    compiler: Compiler,
    limits: Arc<Limits>,
    policy: NamedEngine,
    driver: NamedEngine,
    /// One change of the shelf at a time: two uploads of the same bytes are one plugin.
    change: Mutex<()>,
}

/// A component that may run.
pub struct Admitted {
    /// What was found in it.
    pub inspected: Inspected,
    /// The code of a policy, which runs in this process. That of drivers and providers is given to their own as it is, and
    /// becomes code nowhere else.
    pub policy: Option<Component>,
}

impl Registry {
    /// Opens the shelf in `directory`.
    ///
    /// # Errors
    /// What the file system or the engine says.
    pub fn open(
        directory: &Path,
        ids: &dyn Ids,
        compiler: Compiler,
        limits: Arc<Limits>,
    ) -> wasmtime::Result<Self> {
        Ok(Self {
            shelf: Shelf::open(directory, ids)?,
            compiler,
            limits,
            policy: NamedEngine::new(EngineKind::Policy)?,
            driver: NamedEngine::new(EngineKind::Driver)?,
            change: Mutex::new(()),
        })
    }

    /// The engine of a kind.
    #[must_use]
    pub const fn engine(&self, kind: EngineKind) -> &wasmtime::Engine {
        &self.named(kind).engine
    }

    const fn named(&self, kind: EngineKind) -> &NamedEngine {
        match kind {
            EngineKind::Policy => &self.policy,
            EngineKind::Driver => &self.driver,
        }
    }

    /// Takes a component from outside: all checks, compiled, kept. The same bytes with the same manifest are what they
    /// were. `smoke` runs before anything is kept.
    ///
    /// # Errors
    /// [`PluginRefused`] says what to change.
    pub async fn install<S, F>(
        &self,
        bytes: Vec<u8>,
        manifest: Option<String>,
        smoke: S,
    ) -> Result<Admitted, PluginRefused>
    where
        S: FnOnce(Admitted) -> F,
        F: Future<Output = Result<Admitted, PluginRefused>>,
    {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > self.limits.component_bytes {
            return Err(PluginRefused::TooLarge {
                got: size,
                max: self.limits.component_bytes,
            });
        }
        let digest = shelf::digest_of(&bytes);
        let _one = self.change.lock().await;
        if let Some(known) = self.known(&digest, manifest.as_deref())? {
            return Ok(known);
        }
        let (bytes, mut inspected) = self.inspected(bytes, digest.clone(), manifest.clone()).await?;
        self.shelf.keep(&digest, &bytes, manifest.as_deref())?;
        let admitted = self.compiled(&mut inspected).await;
        let admitted = match admitted {
            Ok(admitted) => smoke(admitted).await,
            Err(refused) => Err(refused),
        };
        if admitted.is_err() {
            self.shelf.remove(&digest)?;
        }
        admitted
    }

    /// All checks but compiling. Nothing is kept.
    ///
    /// # Errors
    /// As [`Registry::install`].
    pub async fn inspect_only(
        &self,
        bytes: Vec<u8>,
        manifest: Option<String>,
    ) -> Result<Inspected, PluginRefused> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > self.limits.component_bytes {
            return Err(PluginRefused::TooLarge {
                got: size,
                max: self.limits.component_bytes,
            });
        }
        let digest = shelf::digest_of(&bytes);
        let (_, inspected) = self.inspected(bytes, digest, manifest).await?;
        Ok(inspected)
    }

    /// What is kept under `digest`, if these are the same bytes with the same manifest.
    fn known(&self, digest: &Digest, manifest: Option<&str>) -> Result<Option<Admitted>, PluginRefused> {
        let Some(kept) = self.cached(digest) else {
            return Ok(None);
        };
        let of_old = self.shelf.manifest(digest)?;
        match (manifest, of_old) {
            (Some(new), Some(old)) if new != old => Err(PluginRefused::Manifest {
                field: "plugin.toml".to_owned(),
                problem: "this component is installed with another manifest; remove it first, or build a new version"
                    .to_owned(),
            }),
            // It came without and now has one: the new one counts, after all checks.
            (Some(_), None) => Ok(None),
            _ => Ok(Some(kept)),
        }
    }

    /// Loads what was installed before.
    ///
    /// # Errors
    /// [`PluginRefused::NotLoaded`] when it is not on the shelf; else as [`Registry::install`].
    pub async fn load(&self, digest: &Digest) -> Result<Admitted, PluginRefused> {
        if let Some(kept) = self.cached(digest) {
            return Ok(kept);
        }
        let _one = self.change.lock().await;
        self.compiled_again(digest).await
    }

    async fn compiled_again(&self, digest: &Digest) -> Result<Admitted, PluginRefused> {
        let bytes = self.shelf.component(digest)?;
        let manifest = self.shelf.manifest(digest)?;
        let (_, mut inspected) = self.inspected(bytes, digest.clone(), manifest).await?;
        self.compiled(&mut inspected).await
    }

    /// What is kept under a digest: the component, and the manifest that it came with.
    ///
    /// # Errors
    /// [`PluginRefused::NotLoaded`] when it is not on the shelf.
    pub fn kept(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), PluginRefused> {
        Ok((self.shelf.component(digest)?, self.shelf.manifest(digest)?))
    }

    /// The compiled code of a driver or provider that was installed or loaded. Compiled again when what is kept is of no use.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub async fn driver_code(&self, digest: &Digest) -> Result<Vec<u8>, PluginRefused> {
        let engine = &self.named(EngineKind::Driver).name;
        let kept = || self.shelf.code([((), engine)], digest);
        if let Some(((), artifact)) = kept() {
            return Ok(artifact.code);
        }
        // Whoever installs holds the lock and waits for this: it has just kept the code.
        let _one = self
            .change
            .try_lock()
            .map_err(|_| PluginRefused::Server("another component is being installed".to_owned()))?;
        self.compiled_again(digest).await?;
        let ((), artifact) =
            kept().ok_or_else(|| PluginRefused::Server("its compiled code cannot be kept".to_owned()))?;
        Ok(artifact.code)
    }

    /// The code of a driver or provider as code of this process: for comparing, never for serving.
    ///
    /// # Errors
    /// As [`Registry::driver_code`].
    pub async fn driver_here(&self, digest: &Digest) -> Result<Component, PluginRefused> {
        let code = self.driver_code(digest).await?;
        deserialized(self.engine(EngineKind::Driver), &code)
            .map_err(|error| PluginRefused::Server(format!("its compiled code: {error:#}")))
    }

    /// Forgets a component.
    ///
    /// # Errors
    /// [`PluginRefused::Server`].
    pub async fn remove(&self, digest: &Digest) -> Result<(), PluginRefused> {
        let _one = self.change.lock().await;
        self.shelf.remove(digest)
    }

    /// All checks of bytes and manifest, on a thread that may block; a panic in a parser is a refusal.
    async fn inspected(
        &self,
        bytes: Vec<u8>,
        digest: Digest,
        manifest: Option<String>,
    ) -> Result<(Vec<u8>, Inspected), PluginRefused> {
        let limits = Arc::clone(&self.limits);
        tokio::task::spawn_blocking(move || {
            let inspected = inspect(&bytes, digest, manifest.as_deref(), &limits)?;
            Ok((bytes, inspected))
        })
        .await
        .map_err(|_| PluginRefused::Invalid("it could not be read".to_owned()))?
    }

    async fn compiled(&self, inspected: &mut Inspected) -> Result<Admitted, PluginRefused> {
        let kind = EngineKind::of(inspected.world);
        let from = self.shelf.component_path(&inspected.digest);
        let (code, took) = self.compiler.compile(kind, &from, &self.limits).await?;
        inspected.compile_ms = millis(took);
        let artifact = Artifact {
            inspected: inspected.clone(),
            code,
        };
        self.shelf.keep_code(&self.named(kind).name, &artifact)?;
        self.admitted(kind, artifact)
            .map_err(|error| PluginRefused::Server(format!("its compiled code: {error:#}")))
    }

    fn cached(&self, digest: &Digest) -> Option<Admitted> {
        let engines = [EngineKind::Policy, EngineKind::Driver].map(|kind| (kind, &self.named(kind).name));
        let (kind, artifact) = self.shelf.code(engines, digest)?;
        self.admitted(kind, artifact)
            .inspect_err(|error| {
                tracing::warn!(%digest, "compiled code is of no use, compiling again: {error:#}");
            })
            .ok()
    }

    fn admitted(&self, kind: EngineKind, artifact: Artifact) -> wasmtime::Result<Admitted> {
        let policy = match kind {
            EngineKind::Policy => Some(deserialized(self.engine(kind), &artifact.code)?),
            EngineKind::Driver => None,
        };
        Ok(Admitted {
            inspected: artifact.inspected,
            policy,
        })
    }
}

fn deserialized(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Component> {
    #[expect(
        unsafe_code,
        reason = "the code was written by this server's own child or passed the check of its authentication code"
    )]
    // SAFETY: see the reason; `deserialize` trusts that the bytes came from `precompile_component`.
    unsafe {
        Component::deserialize(engine, code)
    }
}

/// All that can be said of a component without compiling it.
///
/// # Errors
/// [`PluginRefused`].
pub fn inspect(
    bytes: &[u8],
    digest: Digest,
    manifest: Option<&str>,
    limits: &Limits,
) -> Result<Inspected, PluginRefused> {
    let manifest = manifest.map(|text| manifest::parse(text, limits)).transpose()?;
    admit::admit(bytes)?;
    let shape = shape::shape(bytes)?;
    let manifest = match manifest {
        Some(manifest) => agreed(manifest, &shape)?,
        None => {
            let connectors: Vec<_> = shape.connectors().collect();
            manifest::derived(&digest, shape.world, &connectors)
        }
    };
    Ok(Inspected {
        digest,
        world: shape.world,
        manifest,
        imports: shape.imports,
        exports: shape.exports,
        size_bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        compile_ms: 0,
    })
}

/// A manifest that says what the component is and asks for what it imports.
fn agreed(manifest: Manifest, shape: &Shape) -> Result<Manifest, PluginRefused> {
    if manifest.world != shape.world {
        return Err(PluginRefused::Manifest {
            field: "world".to_owned(),
            problem: format!("is {}; the component is a {}", manifest.world, shape.world),
        });
    }
    for connector in shape.connectors() {
        if !manifest.capabilities.contains_key(connector) {
            return Err(PluginRefused::Manifest {
                field: format!("capabilities.{connector}"),
                problem: format!("is missing; the component imports velum:connect/{connector}"),
            });
        }
    }
    Ok(manifest)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The names of the optional interfaces among a component's exports.
#[must_use]
pub fn optional_interfaces(inspected: &Inspected) -> Vec<String> {
    Shape {
        world: inspected.world,
        imports: inspected.imports.clone(),
        exports: inspected.exports.clone(),
    }
    .optional_interfaces()
}
