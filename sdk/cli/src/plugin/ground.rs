//! Where plugins are tried out without a server: the server's own runtime in a directory that is gone afterwards.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use velum_testkit::{FarSide, Plugin, Sandbox, Sources};

use crate::failure::Failure;

/// What belongs to a plugin.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Its folder.
    pub folder: PathBuf,
    /// The component.
    pub component: PathBuf,
    /// plugin.toml.
    pub manifest: Option<PathBuf>,
    /// conformance.toml.
    pub settings: Option<PathBuf>,
}

impl Parts {
    /// Of a plugin's folder; the component is called as plugin.toml says, unless another one is named.
    pub fn of_folder(folder: &Path, component: Option<&Path>) -> Result<Self, Failure> {
        let manifest = folder.join("plugin.toml");
        let text = std::fs::read_to_string(&manifest).with_context(|| {
            format!(
                "{} is no plugin's folder: could not read its plugin.toml",
                folder.display()
            )
        })?;
        let table: toml::Table = text
            .parse()
            .with_context(|| format!("{} does not parse", manifest.display()))?;
        let name = table
            .get("name")
            .and_then(toml::Value::as_str)
            .with_context(|| format!("{} has no name", manifest.display()))?;
        let component = component.map_or_else(|| folder.join(format!("{name}.wasm")), Path::to_owned);
        if !component.exists() {
            return Err(Failure::Local(anyhow!(
                "{} is not there: run `velum plugin build {}` first",
                component.display(),
                folder.display()
            )));
        }
        let settings = folder.join("conformance.toml");
        Ok(Self {
            folder: folder.to_owned(),
            component,
            manifest: Some(manifest),
            settings: settings.exists().then_some(settings),
        })
    }

    /// Installs it as a server would.
    pub async fn install(&self, sandbox: &Sandbox) -> Result<Plugin, Failure> {
        let plugin = Plugin::install(
            sandbox,
            &self.component,
            self.manifest.as_deref(),
            self.settings.as_deref(),
        );
        Ok(plugin.await.map_err(anyhow::Error::new)?)
    }
}

/// A runtime with nothing in it.
pub fn sandbox() -> Result<Sandbox, Failure> {
    let own = std::env::current_exe().context("could not find the program that compiles: this one")?;
    let sources = Sources::of_this_machine(own.into_os_string());
    Ok(Sandbox::start(sources).map_err(anyhow::Error::new)?)
}

/// The far side that conformance.toml names. Programs without a path are looked for beside this one, then on the path.
pub async fn far_side(sandbox: &Sandbox, plugin: &Plugin) -> Result<FarSide, Failure> {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent);
    let far = FarSide::start(&plugin.settings, sandbox.scratch(), beside);
    Ok(far.await.map_err(anyhow::Error::new)?)
}
