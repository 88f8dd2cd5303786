//! The port to the plugin registry: install, look up, configure.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use uuid::Uuid;

use super::{
    hypervisor::HypervisorDriver, placement::PlacementPolicy, secret::Secret, storage::StorageProvider,
};
use crate::{
    fault::{Fault, code},
    grant::Capabilities,
    plugin::{Digest, Manifest, World},
};

/// What validation and compilation found in a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    /// SHA-256 of the component's bytes.
    pub digest: Digest,
    /// The world that its exports make it.
    pub world: World,
    /// The manifest that came with it, or that was derived from the component.
    pub manifest: Manifest,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// Interfaces that it exports.
    pub exports: Vec<String>,
    /// Size of the component in bytes.
    pub size_bytes: u64,
    /// How long compiling took.
    pub compile_ms: u64,
}

/// Why a component is not accepted. Each names what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginRefused {
    /// Larger than allowed.
    #[error("the component has {got} bytes; {max} are allowed")]
    TooLarge {
        /// Its size.
        got: u64,
        /// The bound.
        max: u64,
    },
    /// Not a component, or with features that are not allowed.
    #[error("not a valid component: {0}")]
    Invalid(String),
    /// An import outside its world or grant.
    #[error(
        "it imports {import}, which the world {world} does not grant; remove the import (for Rust, build for wasm32-unknown-unknown)"
    )]
    ForbiddenImport {
        /// The import.
        import: String,
        /// The world in question.
        world: String,
    },
    /// An export is missing or has another type.
    #[error("its export {field} does not fit {world}: {problem}")]
    WrongExport {
        /// Which export or field.
        field: String,
        /// The world in question.
        world: String,
        /// What differs.
        problem: String,
    },
    /// It exports no world that is known.
    #[error(
        "it exports none of the worlds placement-policy, hypervisor-driver, storage-provider (found: {0})"
    )]
    UnknownWorld(String),
    /// `plugin.toml` does not fit.
    #[error("plugin.toml: {field}: {problem}")]
    Manifest {
        /// Which key.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Compiling it exceeded a limit or failed.
    #[error("it did not compile within the limits: {0}")]
    Compile(String),
    /// It trapped or misbehaved in the smoke test.
    #[error("it failed the smoke test: {0}")]
    Smoke(String),
    /// Its configuration does not fit its schema.
    #[error("configuration: {pointer}: {problem}")]
    Configuration {
        /// JSON pointer of the value.
        pointer: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No such plugin is loaded.
    #[error("no plugin with digest {0} is loaded")]
    NotLoaded(Digest),
    /// The server's own trouble (disk, compiler process).
    #[error("the server could not keep it: {0}")]
    Server(String),
}

/// A component that is to be installed, and what it gets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Installing {
    /// Its bytes.
    pub component: Vec<u8>,
    /// The text of its `plugin.toml`; none = a minimal one is derived.
    pub manifest: Option<String>,
    /// What the operator grants of what it asks for; none = all of it.
    pub grant: Option<Capabilities>,
}

/// The plugin registry.
#[async_trait]
pub trait Plugins: Send + Sync {
    /// All that can be said of a component without compiling it: what it is, and what it asks for. Keeps nothing.
    async fn inspect(&self, component: Vec<u8>, manifest: Option<String>)
    -> Result<Inspected, PluginRefused>;

    /// Validates, compiles in a killable child, smoke-tests and keeps a component. Installing the same bytes again answers
    /// the same; with another grant they work under that one from then on.
    async fn install_granted(&self, installing: Installing) -> Result<Inspected, PluginRefused>;

    /// The same with all that the manifest asks for: the operator's own word, and what has no operator.
    async fn install(
        &self,
        component: Vec<u8>,
        manifest: Option<String>,
    ) -> Result<Inspected, PluginRefused> {
        let installing = Installing {
            component,
            manifest,
            grant: None,
        };
        self.install_granted(installing).await
    }

    /// Loads what an earlier process of this server installed, under this grant (none = all that the manifest asks for).
    /// Compiles again if the cache has no usable artifact. What is loaded already stays as it is.
    async fn load_granted(
        &self,
        digest: &Digest,
        grant: Option<Capabilities>,
    ) -> Result<Inspected, PluginRefused>;

    /// The same with all that the manifest asks for.
    async fn load(&self, digest: &Digest) -> Result<Inspected, PluginRefused> {
        self.load_granted(digest, None).await
    }

    /// The component that was installed under a digest, and the manifest that it came with: what another server installs
    /// it from.
    async fn component(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), PluginRefused> {
        Err(PluginRefused::NotLoaded(digest.clone()))
    }

    /// Forgets a component; running calls end first.
    async fn remove(&self, digest: &Digest) -> Result<(), PluginRefused>;

    /// Checks a configuration against the plugin's schema (`[config]`), or a target's settings (`[target]`).
    fn check_config(&self, digest: &Digest, part: ConfigPart, config: &Value) -> Result<(), PluginRefused>;

    /// A driver by its digest.
    fn hypervisor(&self, digest: &Digest) -> Result<Arc<dyn HypervisorDriver>, PluginRefused>;

    /// A provider by its digest.
    fn storage(&self, digest: &Digest) -> Result<Arc<dyn StorageProvider>, PluginRefused>;

    /// The value of a secret that a plugin had minted for a target: for the node that an attachment names it to, never for
    /// a plugin.
    async fn secret(&self, digest: &Digest, target: Uuid, name: &str) -> Result<Secret, Fault> {
        Err(Fault::unchanged(
            code::NOT_FOUND,
            format!("plugin {digest} has no secret {name:?} for {target}"),
        ))
    }

    /// A fresh, configured instance of a policy.
    fn policy(&self, digest: &Digest, config: &Value) -> Result<Box<dyn PlacementPolicy>, PluginRefused>;

    /// The same of one that decides nothing: a shadow, a question about what was decided, the trial of a configuration. What it does wrong
    /// is not held against those that decide.
    fn policy_aside(
        &self,
        digest: &Digest,
        config: &Value,
    ) -> Result<Box<dyn PlacementPolicy>, PluginRefused> {
        self.policy(digest, config)
    }

    /// Counters of each loaded plugin.
    fn stats(&self) -> Vec<PluginStats>;
}

/// Which schema of a plugin a configuration is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigPart {
    /// A policy's configuration.
    Policy,
    /// The settings of a compute host or pool.
    Target,
}

/// What a plugin did since the server started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginStats {
    /// Which.
    pub digest: Digest,
    /// Its name.
    pub name: String,
    /// Calls into it.
    pub calls: u64,
    /// Calls that ended in a fault or failure of any kind.
    pub failures: u64,
    /// Of these, traps.
    pub traps: u64,
    /// Of these, deadlines and fuel.
    pub deadlines: u64,
    /// Host calls that its grant did not allow.
    pub denials: u64,
    /// Fuel used (policies).
    pub fuel: u64,
    /// Time in calls, microseconds.
    pub micros: u64,
    /// Starts of its process (drivers and providers): more than one says that it died.
    pub starts: u64,
    /// Times that its breaker opened: it failed several times in a row.
    pub breaks: u64,
    /// For how many milliseconds more its calls are refused by the breaker; without one, they are made.
    pub refused_for_ms: Option<u64>,
}
