//! The runtime: what is loaded, and the port through which the server asks for it.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use parking_lot::RwLock;
use serde_json::Value;
use uuid::Uuid;
use velum_connector::{Connections, http::HttpConnector};
use velum_model::{
    chance::Ids,
    fault::{Fault, code},
    plugin::{Digest, World},
    port::{
        Secret, Target, TargetKind,
        hypervisor::HypervisorDriver,
        placement::{PlacementPolicy, PolicyFailure},
        plugins::{ConfigPart, Inspected, PluginRefused, PluginStats, Plugins},
        storage::StorageProvider,
    },
    time::Clock,
};
use wasmtime::component::{Component, Linker};

use crate::{
    call::{CallHost, Caller, Ports},
    engine::{EngineKind, Ticker},
    grant::{
        secrets::SecretKeeper,
        state::{FileState, StateStore},
    },
    limits::Limits,
    plugin::Shared,
    registry::{Admitted, Compiler, Registry, optional_interfaces},
    schema::Schemas,
    world::{self, hypervisor::v0_1 as hypervisor, placement::v0_1 as placement, storage::v0_1 as storage},
};

/// How a runtime is made.
pub struct RuntimeOptions {
    /// Where components and compiled code are kept; made if it is not there.
    pub directory: PathBuf,
    /// The program that compiles, with its leading arguments: the server's own executable, whose `main` calls
    /// [`crate::compile_child_main`] behind [`crate::COMPILE_ARGUMENT`] (appended when it is not the last argument).
    pub compile_command: Vec<OsString>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance: the key of compiled code.
    pub ids: Arc<dyn Ids>,
    /// Bounds of all plugins.
    pub limits: Limits,
    /// Nodes: where `libvirt` and `files` are executed.
    pub nodes: Connections,
    /// HTTP origins.
    pub http: HttpConnector,
    /// Where plugins' durable values are kept; none: in files below `directory`.
    pub state: Option<Arc<dyn StateStore>>,
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

/// What a plugin can be instantiated from, by its world. The contract's version was settled when it was linked.
enum Code {
    Policy(placement::PolicyComponent),
    Driver(Arc<hypervisor::Driver>),
    Provider(Arc<storage::Provider>),
}

/// The plugin runtime; see the crate.
pub struct Runtime {
    registry: Registry,
    limits: Arc<Limits>,
    clock: Arc<dyn Clock>,
    policies: Linker<placement::PolicyHost>,
    drivers: Linker<CallHost>,
    ports: Arc<Ports>,
    ticker: Arc<Ticker>,
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
        let drivers = world::linker(registry.engine(EngineKind::Driver))?;
        let ticker = Ticker::start(registry.engine(EngineKind::Driver).clone())?;
        let state = match options.state {
            Some(state) => state,
            None => Arc::new(FileState::open(&options.directory.join("state"))?),
        };
        let secrets = FileState::open(&options.directory.join("secrets"))?;
        let ports = Ports {
            nodes: options.nodes,
            http: options.http,
            state,
            secrets: SecretKeeper::new(Arc::new(secrets), options.ids),
        };
        Ok(Self {
            registry,
            limits,
            clock: options.clock,
            policies,
            drivers,
            ports: Arc::new(ports),
            ticker: Arc::new(ticker),
            loaded: RwLock::default(),
        })
    }

    /// Links what the registry admitted.
    fn linked(&self, admitted: Admitted) -> Result<Loaded, PluginRefused> {
        let Admitted { inspected, component } = admitted;
        let own = self.limits.of(inspected.world, &inspected.manifest.limits)?;
        let shared = Arc::new(Shared::new(
            inspected.digest.clone(),
            inspected.manifest.clone(),
            own,
            Arc::clone(&self.limits),
            Arc::clone(&self.clock),
        ));
        let code = self.code(&inspected, &component, &shared)?;
        let schemas = Schemas::new(&inspected.manifest)?;
        Ok(Loaded {
            inspected,
            shared,
            schemas,
            code,
        })
    }

    fn code(
        &self,
        inspected: &Inspected,
        component: &Component,
        shared: &Arc<Shared>,
    ) -> Result<Code, PluginRefused> {
        let linking =
            |error: wasmtime::Error| PluginRefused::Invalid(format!("it cannot be linked: {error:#}"));
        if inspected.world == World::PlacementPolicy {
            return placement::PolicyComponent::new(&self.policies, component)
                .map(Code::Policy)
                .map_err(linking);
        }
        let pre = self.drivers.instantiate_pre(component).map_err(linking)?;
        let caller = Caller {
            pre,
            plugin: Arc::clone(shared),
            ports: Arc::clone(&self.ports),
            ticker: Arc::clone(&self.ticker),
        };
        if inspected.world == World::StorageProvider {
            let exports = storage::Exports::find(&caller.pre).map_err(linking)?;
            return Ok(Code::Provider(Arc::new(storage::Provider::new(caller, exports))));
        }
        let interfaces = optional_interfaces(inspected);
        let exports = hypervisor::Exports::find(&caller.pre, &interfaces).map_err(linking)?;
        Ok(Code::Driver(Arc::new(hypervisor::Driver::new(
            caller, exports, interfaces,
        ))))
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
            let mut loaded = self.linked(admitted)?;
            smoke(&mut loaded).await?;
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

    async fn component(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), PluginRefused> {
        self.registry.kept(digest)
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
        let loaded = self.loaded(digest)?;
        match &loaded.code {
            Code::Driver(driver) => Ok(Arc::clone(driver) as Arc<dyn HypervisorDriver>),
            _ => Err(other_world(&loaded, World::HypervisorDriver)),
        }
    }

    fn storage(&self, digest: &Digest) -> Result<Arc<dyn StorageProvider>, PluginRefused> {
        let loaded = self.loaded(digest)?;
        match &loaded.code {
            Code::Provider(provider) => Ok(Arc::clone(provider) as Arc<dyn StorageProvider>),
            _ => Err(other_world(&loaded, World::StorageProvider)),
        }
    }

    async fn secret(&self, digest: &Digest, target: Uuid, name: &str) -> Result<Secret, Fault> {
        let loaded = self
            .loaded(digest)
            .map_err(|refused| Fault::unchanged(code::UNAVAILABLE, refused.to_string()))?;
        let plugin = loaded.shared.manifest.name.as_str();
        let value = self.ports.secrets.find(plugin, target, name).await?;
        Ok(Secret::new(value))
    }

    fn policy(&self, digest: &Digest, config: &Value) -> Result<Box<dyn PlacementPolicy>, PluginRefused> {
        let loaded = self.loaded(digest)?;
        let Code::Policy(component) = &loaded.code else {
            return Err(other_world(&loaded, World::PlacementPolicy));
        };
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
                shared
                    .counters
                    .stats(&shared.digest, shared.manifest.name.as_str())
            })
            .collect()
    }
}

fn other_world(loaded: &Loaded, wanted: World) -> PluginRefused {
    let exports = loaded.inspected.exports.join(", ");
    PluginRefused::UnknownWorld(format!("no {wanted} in {exports}"))
}

/// Instantiates and describes once: a component that traps at once is not kept.
async fn smoke(loaded: &mut Loaded) -> Result<(), PluginRefused> {
    let failed = |what: String| PluginRefused::Smoke(what);
    match &loaded.code {
        Code::Policy(component) => {
            match component.instance(Arc::clone(&loaded.shared), &Value::Object(serde_json::Map::new())) {
                Ok(policy) => {
                    let schema = policy.descriptor().config_schema.clone();
                    loaded.schemas.described(&schema);
                    Ok(())
                }
                // A policy may want a configuration; that it says so is an answer.
                Err(PolicyFailure::Configuration(_)) => Ok(()),
                Err(failure) => Err(failed(failure.to_string())),
            }
        }
        Code::Driver(driver) => match driver.describe().await {
            Ok(_) => Ok(()),
            Err(fault) => Err(failed(fault.detail)),
        },
        // A provider describes itself for a pool, and may have wishes about its settings.
        Code::Provider(provider) => match provider.describe(&no_pool()).await {
            Err(fault) if matches!(fault.code, code::TRAPPED | code::DEADLINE | code::NONSENSE) => {
                Err(failed(fault.detail))
            }
            _ => Ok(()),
        },
    }
}

/// A pool without settings, that reaches nothing.
fn no_pool() -> Target {
    Target {
        kind: TargetKind::StoragePool,
        id: uuid::Uuid::nil(),
        config: Value::Object(serde_json::Map::new()),
        node: None,
        endpoint: None,
        secret: None,
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
