//! Plugins at start: those that are known are loaded, those in the configured directory are installed.

use std::path::Path;

use anyhow::Context;
use velum_model::{
    Id,
    page::Page,
    port::plugins::Plugins,
    tenancy::{Caller, Scope},
};
use velum_runtime::Runtime;
use velum_service::{NewPlugin, Services};
use velum_store::{PluginFilter, Store};

/// Loads every plugin that has a row.
pub async fn load_known(runtime: &Runtime, store: &Store) -> anyhow::Result<()> {
    let mut page = Page {
        limit: Page::MAX_LIMIT,
        after: None,
    };
    loop {
        let known = store
            .read()
            .plugins(&PluginFilter::default(), page)
            .await
            .context("could not read the plugins")?;
        for plugin in &known.items {
            // A plugin that does not load takes its own callers down, not the server: they see `unavailable`.
            if let Err(refused) = runtime.load(&plugin.digest).await {
                tracing::error!(plugin = %plugin.manifest.name, digest = %plugin.digest, %refused, "a plugin does not load");
            }
        }
        let Some(next) = known.next else { return Ok(()) };
        page.after = Some(next);
    }
}

/// Installs every component of a directory that is not installed yet; nothing for an empty path.
pub async fn install_from(services: &Services, directory: &str) -> anyhow::Result<()> {
    if directory.is_empty() {
        return Ok(());
    }
    let directory = Path::new(directory);
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("could not read the plugins directory {}", directory.display()))?;
    let mut components: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    components.retain(|path| path.extension().is_some_and(|e| e == "wasm"));
    components.sort();
    for path in components {
        install(services, &path)
            .await
            .with_context(|| format!("could not install {}", path.display()))?;
    }
    Ok(())
}

async fn install(services: &Services, path: &Path) -> anyhow::Result<()> {
    let component = std::fs::read(path).context("could not read it")?;
    let manifest = match std::fs::read_to_string(path.with_extension("toml")) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).context("could not read its manifest"),
    };
    let system = Caller {
        token: Id::from_uuid(uuid::Uuid::nil()),
        name: "velumd".into(),
        scope: Scope::All,
    };
    services
        .plugin_install(&system, NewPlugin { component, manifest }, None)
        .await?;
    Ok(())
}
