//! The server's runtime in a directory of its own.

use std::{ffi::OsString, path::Path, sync::Arc};

use velum_connector::{Connections, http::HttpConnector};
use velum_model::{
    chance::Ids,
    fault::Fault,
    port::plugins::{Inspected, PluginRefused, Plugins as _},
    time::Clock,
};
use velum_runtime::{Limits, Runtime, RuntimeError, RuntimeOptions};

use crate::state::MemoryState;

/// What a sandbox takes from whoever starts it.
#[derive(Clone)]
pub struct Sources {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance: the ids of a run of a suite.
    pub ids: Arc<dyn Ids>,
    /// The program that compiles components and that drivers and providers run in: one whose `main` calls
    /// [`crate::child_main`] before anything else.
    pub compile_command: Vec<OsString>,
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A directory for it.
    #[error("could not make a directory for the sandbox")]
    Directory(#[from] std::io::Error),
    /// HTTP.
    #[error("could not make the http connector: {0}")]
    Http(Fault),
    /// The engines.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// The plugin runtime of the server, with its limits, outside of a server. What it keeps is gone with it.
pub struct Sandbox {
    directory: tempfile::TempDir,
    runtime: Arc<Runtime>,
    /// Time and chance.
    pub sources: Sources,
}

impl Sandbox {
    /// Starts with nothing installed.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub fn start(sources: Sources) -> Result<Self, SandboxError> {
        let directory = tempfile::Builder::new().prefix("velum-testkit.").tempdir()?;
        let http = HttpConnector::new().map_err(SandboxError::Http)?;
        let runtime = Runtime::start(RuntimeOptions {
            directory: directory.path().join("plugins"),
            compile_command: sources.compile_command.clone(),
            clock: Arc::clone(&sources.clock),
            ids: Arc::clone(&sources.ids),
            limits: Limits::default(),
            nodes: Connections::new(http.clone()),
            http,
            state: Some(Arc::new(MemoryState::default())),
            uids: None,
        })?;
        Ok(Self {
            directory,
            runtime,
            sources,
        })
    }

    /// A directory that goes with the sandbox: the `{scratch}` of `conformance.toml`.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// The runtime.
    #[must_use]
    pub const fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// Installs a component as the server does: manifest, validation, types, compilation in a child, smoke test.
    ///
    /// # Errors
    /// [`PluginRefused`] names the field that does not fit.
    pub async fn install(
        &self,
        component: Vec<u8>,
        manifest: Option<String>,
    ) -> Result<Inspected, PluginRefused> {
        self.runtime.install(component, manifest).await
    }
}
