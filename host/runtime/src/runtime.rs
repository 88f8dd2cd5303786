//! The runtime: what is loaded, and the port through which the server asks for it.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use parking_lot::RwLock;
use serde_json::Value;
use velum_model::{
    chance::Ids,
    plugin::{Digest, World},
    port::{
        hypervisor::HypervisorDriver,
        placement::{PlacementPolicy, PolicyFailure},
        plugins::{ConfigPart, Inspected, PluginRefused, PluginStats, Plugins},
        storage::StorageProvider,
    },
    time::Clock,
};
use wasmtime::component::Linker;

use crate::{
    engine::EngineKind,
    limits::Limits,
    plugin::Shared,
    registry::{Admitted, Compiler, Registry},
    schema::Schemas,
    world::placement::v0_1 as placement,
};

/// How a runtime is made.
pub struct RuntimeOptions {
    /// Where components and compiled code are kept; made if it is not there.
    pub directory: PathBuf,
    /// The program that compiles, with its leading arguments: the server's own executable, whose `main` calls
    /// [`crate::compile_child_main`].
    pub compile_command: Vec<OsString>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance: the key of compiled code.
    pub ids: Arc<dyn Ids>,
    /// Bounds of all plugins.
    pub limits: Limits,
}

/// Why a runtime cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The directory or the engines.
    #[error("the plugin runtime cannot start in {}", directory.display())]
    Start {
        /// Where.
        directory: PathBuf,
        /// What was wrong.
        #[source]
        source: wasmtime::Error,
    },
}

/// A loaded plugin.
struct Loaded {
    inspected: Inspected,
    shared: Arc<Shared>,
    schemas: Schemas,
    code: Code,
}

/// What a plugin can be instantiated from, by its world.
enum Code {
    Policy(placement::PolicyComponent),
}

/// The plugin runtime; see the crate.
pub struct Runtime {
    registry: Registry,
    limits: Arc<Limits>,
    clock: Arc<dyn Clock>,
    policies: Linker<placement::PolicyHost>,
    loaded: RwLock<BTreeMap<Digest, Arc<Loaded>>>,
}

impl Runtime {
    /// Starts with nothing loaded.
    ///
    /// # Errors
    /// [`RuntimeError`] when the directory cannot be used or this machine cannot run the engines.
    pub fn start(options: RuntimeOptions) -> Result<Arc<Self>, RuntimeError> {
        let directory = options.directory.clone();
        Self::build(options)
            .map(Arc::new)
            .map_err(|source| RuntimeError::Start { directory, source })
    }

    fn build(options: RuntimeOptions) -> wasmtime::Result<Self> {
        let limits = Arc::new(options.limits);
        let registry = Registry::open(
            &options.directory,
            options.ids.as_ref(),
            Compiler::new(options.compile_command),
            Arc::clone(&limits),
        )?;
        let policies = placement::linker(registry.engine(EngineKind::Policy))?;
        Ok(Self {
            registry,
            limits,
            clock: options.clock,
            policies,
            loaded: RwLock::default(),
        })
    }

    /// Links what the registry admitted.
    fn linked(&self, admitted: Admitted) -> Result<Loaded, PluginRefused> {
        let Admitted {
            inspected,
            component,
        } = admitted;
        let own = self.limits.of(inspected.world, &inspected.manifest.limits)?;
        let shared = Arc::new(Shared::new(
            inspected.digest.clone(),
            inspected.manifest.clone(),
            own,
            Arc::clone(&self.limits),
            Arc::clone(&self.clock),
        ));
        let linking = |error: wasmtime::Error| PluginRefused::Invalid(format!("it cannot be linked: {error:#}"));
        let code = match inspected.world {
            World::PlacementPolicy => Code::Policy(
                placement::PolicyComponent::new(&self.policies, &component).map_err(linking)?,
            ),
            World::HypervisorDriver | World::StorageProvider => {
                return Err(PluginRefused::UnknownWorld("drivers".to_owned()));
            }
        };
        let schemas = Schemas::new(&inspected.manifest)?;
        Ok(Loaded {
            inspected,
            shared,
            schemas,
            code,
        })
    }

    fn keep(&self, loaded: Loaded) -> Inspected {
        let inspected = loaded.inspected.clone();
        self.loaded
            .write()
            .insert(inspected.digest.clone(), Arc::new(loaded));
        inspected
    }

    fn loaded(&self, digest: &Digest) -> Result<Arc<Loaded>, PluginRefused> {
        self.loaded
            .read()
            .get(digest)
            .cloned()
            .ok_or_else(|| PluginRefused::NotLoaded(digest.clone()))
    }
}

#[async_trait]
impl Plugins for Runtime {
    async fn install(
        &self,
        component: Vec<u8>,
        manifest: Option<String>,
    ) -> Result<Inspected, PluginRefused> {
        let mut smoked = None;
        let smoke = async |admitted: Admitted| -> Result<Admitted, PluginRefused> {
            let inspected = admitted.inspected.clone();
            let component = admitted.component.clone();
            let loaded = self.linked(admitted)?;
            smoke(&loaded)?;
            smoked = Some(loaded);
            Ok(Admitted { inspected, component })
        };
        let admitted = self.registry.install(component, manifest, smoke).await?;
        let loaded = match smoked {
            Some(loaded) => loaded,
            // The same bytes as before: what is loaded goes on with its counters.
            None => match self.loaded(&admitted.inspected.digest) {
                Ok(loaded) => return Ok(loaded.inspected.clone()),
                Err(_) => self.linked(admitted)?,
            },
        };
        Ok(self.keep(loaded))
    }

    async fn load(&self, digest: &Digest) -> Result<Inspected, PluginRefused> {
        if let Ok(loaded) = self.loaded(digest) {
            return Ok(loaded.inspected.clone());
        }
        let admitted = self.registry.load(digest).await?;
        Ok(self.keep(self.linked(admitted)?))
    }

    async fn remove(&self, digest: &Digest) -> Result<(), PluginRefused> {
        // Instances and calls hold their own reference and end with it.
        self.loaded.write().remove(digest);
        self.registry.remove(digest).await
    }

    fn check_config(&self, digest: &Digest, part: ConfigPart, config: &Value) -> Result<(), PluginRefused> {
        self.loaded(digest)?.schemas.check(part, config)
    }

    fn hypervisor(&self, digest: &Digest) -> Result<Arc<dyn HypervisorDriver>, PluginRefused> {
        Err(PluginRefused::NotLoaded(digest.clone()))
    }

    fn storage(&self, digest: &Digest) -> Result<Arc<dyn StorageProvider>, PluginRefused> {
        Err(PluginRefused::NotLoaded(digest.clone()))
    }

    fn policy(&self, digest: &Digest, config: &Value) -> Result<Box<dyn PlacementPolicy>, PluginRefused> {
        let loaded = self.loaded(digest)?;
        let Code::Policy(component) = &loaded.code;
        loaded.shared.enter().map_err(|open| {
            PluginRefused::Smoke(format!(
                "its breaker is open after failures in a row; it is tried again in {} ms",
                open.retry_after_ms
            ))
        })?;
        let policy = component
            .instance(Arc::clone(&loaded.shared), config)
            .map_err(setup_refused)?;
        Ok(Box::new(policy))
    }

    fn stats(&self) -> Vec<PluginStats> {
        self.loaded
            .read()
            .values()
            .map(|loaded| {
                let shared = &loaded.shared;
                shared.counters.stats(&shared.digest, shared.manifest.name.as_str())
            })
            .collect()
    }
}

/// Instantiates once: a component that traps at once is not kept.
fn smoke(loaded: &Loaded) -> Result<(), PluginRefused> {
    let Code::Policy(component) = &loaded.code;
    match component.instance(Arc::clone(&loaded.shared), &Value::Object(serde_json::Map::new())) {
        // A policy may want a configuration; that it says so is an answer.
        Ok(_) | Err(PolicyFailure::Configuration(_)) => Ok(()),
        Err(failure) => Err(PluginRefused::Smoke(failure.to_string())),
    }
}

fn setup_refused(failure: PolicyFailure) -> PluginRefused {
    match failure {
        PolicyFailure::Configuration(problem) => PluginRefused::Configuration {
            pointer: String::new(),
            problem,
        },
        other => PluginRefused::Smoke(other.to_string()),
    }
}
