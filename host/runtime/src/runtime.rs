//! The runtime: what is loaded, and the port through which the server asks for it.

mod bare;

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use parking_lot::RwLock;
use serde_json::Value;
use uuid::Uuid;
use velum_connector::{Connections, http::HttpConnector};
use velum_model::{
    chance::Ids,
    fault::{Fault, code},
    grant::Capabilities,
    plugin::{Digest, World},
    port::{
        Secret, Target, TargetKind,
        hypervisor::HypervisorDriver,
        placement::{PlacementPolicy, PolicyFailure},
        plugins::{ConfigPart, Inspected, Installing, PluginRefused, PluginStats, Plugins},
        storage::StorageProvider,
    },
    time::Clock,
};
use wasmtime::component::Linker;

use crate::{
    breaker::Breaker,
    call::{Caller, Worker},
    engine::{EngineKind, Ticker},
    errand::Ports,
    grant::{
        secrets::SecretKeeper,
        state::{FileState, StateStore},
    },
    limits::Limits,
    plugin::Shared,
    process::{self, Process, Recipe, Uids},
    registry::{self, Admitted, Compiler, Registry, optional_interfaces},
    sandbox::{Sandbox, work::Bounds},
    schema::Schemas,
    world::{hypervisor::v0_1 as hypervisor, placement::v0_1 as placement, storage::v0_1 as storage},
};

/// How a runtime is made.
pub struct RuntimeOptions {
    /// Where components and compiled code are kept; made if it is not there.
    pub directory: PathBuf,
    /// The program that compiles and that plugins run in, with its leading arguments: the server's own executable, whose
    /// `main` calls [`crate::child_main`] first. ([`crate::COMPILE_ARGUMENT`] at its end is left out.)
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
    /// The uids that the processes of drivers and providers, and that compiles, have; none: this process's own.
    pub uids: Option<Arc<Uids>>,
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

impl Loaded {
    /// Whether it works under this grant already.
    fn is_granted(&self, grant: Option<&Capabilities>) -> bool {
        let wanted = grant.unwrap_or(&self.inspected.manifest.capabilities);
        self.shared.manifest.capabilities == *wanted
    }
}

/// What a plugin can be instantiated from, by its world. The contract's version was settled when it was linked.
enum Code {
    Policy(placement::PolicyComponent),
    Driver(Arc<hypervisor::Driver>),
    Provider(Arc<storage::Provider>),
}

/// The plugin runtime; see the crate.
pub struct Runtime {
    registry: Arc<Registry>,
    limits: Arc<Limits>,
    clock: Arc<dyn Clock>,
    policies: Linker<placement::PolicyHost>,
    ports: Arc<Ports>,
    process_command: Vec<OsString>,
    uids: Option<Arc<Uids>>,
    /// Only where drivers run in this process, to be compared with those that do not.
    ticker: Option<Arc<Ticker>>,
    loaded: RwLock<BTreeMap<Digest, Arc<Loaded>>>,
}

impl Runtime {
    /// Starts with nothing loaded.
    ///
    /// # Errors
    /// [`RuntimeError`] when the directory cannot be used or this machine cannot run the engines.
    pub fn start(options: RuntimeOptions) -> Result<Arc<Self>, RuntimeError> {
        Self::begin(options, false)
    }

    /// The same with drivers and providers in this process: what benches compare processes with. Contains nothing.
    ///
    /// # Errors
    /// As [`Runtime::start`].
    pub fn start_without_processes(options: RuntimeOptions) -> Result<Arc<Self>, RuntimeError> {
        Self::begin(options, true)
    }

    fn begin(options: RuntimeOptions, here: bool) -> Result<Arc<Self>, RuntimeError> {
        let directory = options.directory.clone();
        Self::build(options, here)
            .map(Arc::new)
            .map_err(|source| RuntimeError::Start { directory, source })
    }

    fn build(options: RuntimeOptions, here: bool) -> wasmtime::Result<Self> {
        let limits = Arc::new(options.limits);
        let mut process_command = options.compile_command.clone();
        if process_command
            .last()
            .is_some_and(|last| last == registry::ARGUMENT)
        {
            process_command.pop();
        }
        process_command.push(process::ARGUMENT.into());
        let registry = Arc::new(Registry::open(
            &options.directory,
            options.ids.as_ref(),
            Compiler::new(options.compile_command, options.uids.clone()),
            Arc::clone(&limits),
        )?);
        let policies = placement::linker(registry.engine(EngineKind::Policy))?;
        let ticker = match here {
            true => Some(Arc::new(Ticker::start(
                registry.engine(EngineKind::Driver).clone(),
            )?)),
            false => None,
        };
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
            ports: Arc::new(ports),
            process_command,
            uids: options.uids,
            ticker,
            loaded: RwLock::default(),
        })
    }

    /// Links what the registry admitted; it may do what is granted, or all that it asks for.
    async fn linked(
        &self,
        admitted: Admitted,
        grant: Option<&Capabilities>,
    ) -> Result<Loaded, PluginRefused> {
        let Admitted { inspected, policy } = admitted;
        let own = self.limits.capped(inspected.world, &inspected.manifest.limits)?;
        let mut granted = inspected.manifest.clone();
        if let Some(grant) = grant {
            granted.capabilities = grant.clone();
        }
        let shared = Arc::new(Shared::new(
            inspected.digest.clone(),
            granted,
            own,
            Arc::clone(&self.limits),
            Arc::clone(&self.clock),
        ));
        let code = match policy {
            Some(component) => placement::PolicyComponent::new(&self.policies, &component)
                .map(Code::Policy)
                .map_err(unlinkable)?,
            None => self.apart(&inspected, &shared).await?,
        };
        let schemas = Schemas::new(&inspected.manifest)?;
        Ok(Loaded {
            inspected,
            shared,
            schemas,
            code,
        })
    }

    async fn apart(&self, inspected: &Inspected, shared: &Arc<Shared>) -> Result<Code, PluginRefused> {
        let interfaces = optional_interfaces(inspected);
        let caller = Caller {
            worker: self.worker(inspected, shared, &interfaces).await?,
            plugin: Arc::clone(shared),
            ports: Arc::clone(&self.ports),
        };
        Ok(if inspected.world == World::StorageProvider {
            Code::Provider(Arc::new(storage::Provider::new(caller)))
        } else {
            Code::Driver(Arc::new(hypervisor::Driver::new(caller, interfaces)))
        })
    }

    async fn worker(
        &self,
        inspected: &Inspected,
        shared: &Arc<Shared>,
        interfaces: &[String],
    ) -> Result<Worker, PluginRefused> {
        let bounds = bounds(shared, &self.limits);
        if let Some(ticker) = &self.ticker {
            let engine = self.registry.engine(EngineKind::Driver);
            let component = self.registry.driver_here(&inspected.digest).await?;
            let what = (inspected.world, interfaces);
            return Sandbox::new(engine, &component, what, bounds, Arc::clone(ticker))
                .map(Worker::Here)
                .map_err(unlinkable);
        }
        let recipe = Recipe {
            command: self.process_command.clone(),
            uids: self.uids.clone(),
            name: inspected.manifest.name.as_str().to_owned(),
            world: inspected.world,
            interfaces: interfaces.to_vec(),
            bounds,
            code: Arc::new(OnTheShelf {
                registry: Arc::clone(&self.registry),
                digest: inspected.digest.clone(),
            }),
        };
        Ok(Worker::Apart(Process::new(recipe, shared.counters.starts())))
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
    async fn inspect(
        &self,
        component: Vec<u8>,
        manifest: Option<String>,
    ) -> Result<Inspected, PluginRefused> {
        self.registry.inspect_only(component, manifest).await
    }

    async fn install_granted(&self, installing: Installing) -> Result<Inspected, PluginRefused> {
        let Installing {
            component,
            manifest,
            grant,
        } = installing;
        let mut smoked = None;
        let smoke = async |admitted: Admitted| -> Result<Admitted, PluginRefused> {
            let inspected = admitted.inspected.clone();
            let policy = admitted.policy.clone();
            let mut loaded = self.linked(admitted, grant.as_ref()).await?;
            smoke(&mut loaded).await?;
            smoked = Some(loaded);
            Ok(Admitted { inspected, policy })
        };
        let admitted = self.registry.install(component, manifest, smoke).await?;
        let loaded = match smoked {
            Some(loaded) => loaded,
            // The same bytes as before: what is loaded under the same grant goes on with its counters.
            None => match self.loaded(&admitted.inspected.digest) {
                Ok(loaded) if loaded.is_granted(grant.as_ref()) => return Ok(loaded.inspected.clone()),
                _ => self.linked(admitted, grant.as_ref()).await?,
            },
        };
        Ok(self.keep(loaded))
    }

    async fn load_granted(
        &self,
        digest: &Digest,
        grant: Option<Capabilities>,
    ) -> Result<Inspected, PluginRefused> {
        if let Ok(loaded) = self.loaded(digest) {
            return Ok(loaded.inspected.clone());
        }
        let admitted = self.registry.load(digest).await?;
        Ok(self.keep(self.linked(admitted, grant.as_ref()).await?))
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
        policy_of(&loaded, loaded.shared.breaker(), config)
    }

    fn policy_aside(
        &self,
        digest: &Digest,
        config: &Value,
    ) -> Result<Box<dyn PlacementPolicy>, PluginRefused> {
        let loaded = self.loaded(digest)?;
        let breaker = loaded.shared.breaker_aside(&config.to_string());
        policy_of(&loaded, breaker, config)
    }

    fn stats(&self) -> Vec<PluginStats> {
        self.loaded
            .read()
            .values()
            .map(|loaded| loaded.shared.stats())
            .collect()
    }
}

/// A policy that answers to a breaker.
fn policy_of(
    loaded: &Loaded,
    breaker: Arc<Breaker>,
    config: &Value,
) -> Result<Box<dyn PlacementPolicy>, PluginRefused> {
    let Code::Policy(component) = &loaded.code else {
        return Err(other_world(loaded, World::PlacementPolicy));
    };
    let entered = loaded.shared.enter_by(&breaker);
    entered.map_err(|open| PluginRefused::Smoke(open.to_string()))?;
    let policy = component.instance((Arc::clone(&loaded.shared), breaker), config);
    Ok(Box::new(policy.map_err(setup_refused)?))
}

/// Compiled code that the registry vouches for.
struct OnTheShelf {
    registry: Arc<Registry>,
    digest: Digest,
}

#[async_trait]
impl process::Code for OnTheShelf {
    async fn code(&self) -> Result<Vec<u8>, PluginRefused> {
        self.registry.driver_code(&self.digest).await
    }
}

fn bounds(shared: &Shared, limits: &Limits) -> Bounds {
    let whole = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    Bounds {
        memory_bytes: whole(shared.limits.memory_bytes),
        host_calls: limits.host_calls,
        transfer_bytes: whole(limits.transfer_bytes),
        guest_time_ms: u64::try_from(limits.guest_time.as_millis()).unwrap_or(u64::MAX),
        calls: u32::try_from(shared.limits.calls_in_flight).unwrap_or(u32::MAX),
    }
}

fn unlinkable(error: wasmtime::Error) -> PluginRefused {
    PluginRefused::Invalid(format!("it cannot be linked: {error:#}"))
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
            let by = (Arc::clone(&loaded.shared), loaded.shared.breaker());
            match component.instance(by, &Value::Object(serde_json::Map::new())) {
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
