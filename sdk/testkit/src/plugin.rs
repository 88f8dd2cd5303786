//! A plugin on disk: its component, its manifest, what stands beside them.

use std::path::{Path, PathBuf};

use velum_model::port::plugins::{Inspected, PluginRefused};

use crate::{Sandbox, Settings, SettingsError};

/// A plugin that a sandbox took.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// What was found in it.
    pub inspected: Inspected,
    /// What its vendor says of the far side.
    pub settings: Settings,
}

/// Why a plugin cannot be tested.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// A file.
    #[error("could not read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The runtime, as the server would.
    #[error("{} is not accepted: {refused}", path.display())]
    Refused {
        /// Which component.
        path: PathBuf,
        /// Why.
        refused: PluginRefused,
    },
    /// What stands beside it.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl Plugin {
    /// Reads a component with its manifest and `conformance.toml`, and installs it in a sandbox.
    ///
    /// # Errors
    /// [`PluginError`] names the file or field.
    pub async fn install(
        sandbox: &Sandbox,
        component: &Path,
        manifest: Option<&Path>,
        settings: Option<&Path>,
    ) -> Result<Self, PluginError> {
        let reading = |path: &Path| {
            let path = path.to_owned();
            |source| PluginError::Read { path, source }
        };
        let bytes = std::fs::read(component).map_err(reading(component))?;
        let manifest = manifest
            .map(|path| std::fs::read_to_string(path).map_err(reading(path)))
            .transpose()?;
        let settings = match settings {
            Some(path) => Settings::read(path)?,
            None => Settings::default(),
        };
        let inspected = sandbox
            .install(bytes, manifest)
            .await
            .map_err(|refused| PluginError::Refused {
                path: component.to_owned(),
                refused,
            })?;
        Ok(Self { inspected, settings })
    }
}
