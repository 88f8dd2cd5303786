//! Plugins at start: those that are known are loaded, those in the configured directory are installed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use sha2::{Digest as _, Sha256};
use velum_model::{
    Id, Name,
    page::Page,
    plugin::{Digest, Plugin},
    tenancy::{Caller, Scope},
};
use velum_runtime::{Limits, Runtime, Uids};
use velum_service::{NewPlugin, Probation, ServiceError, Services, Settings, Unsigned, load_plugin};
use velum_store::{PluginFilter, Store};

use crate::config::{self, Config};

/// What the operator decided about plugins and policies.
pub fn settings(config: &Config) -> Settings {
    let of = &config.policies;
    Settings {
        unsigned: match config.plugins.unsigned {
            config::Unsigned::Refuse => Unsigned::Refuse,
            config::Unsigned::Allow => Unsigned::Allow,
        },
        probation: Probation {
            for_ms: of.probation_ms,
            asks: of.probation_asks,
            failures_permille: of.failures_permille,
            refusals_permille: of.refusals_permille,
        },
        decisions_kept_ms: config.decisions.keep_ms,
    }
}

/// What plugins may use at most.
pub fn limits(config: &Config) -> Limits {
    Limits {
        memory_ceiling_bytes: config.plugins.memory_mib << 20,
        calls_in_flight_ceiling: config.plugins.calls_in_flight,
        fuel_ceiling: config.plugins.fuel,
        ..Limits::default()
    }
}

/// The uids of plugins' processes.
///
/// # Errors
/// This process may not give them; names the key.
pub fn uids(config: &Config) -> anyhow::Result<Option<Arc<Uids>>> {
    match config.plugins.first_uid {
        0 => Ok(None),
        first => Uids::from(first).map(Some).context("plugins.first_uid"),
    }
}

/// Shows what each loaded plugin did as metrics.
pub fn count(services: &Services) {
    for stats in services.plugin_stats() {
        let labels = [("plugin", stats.name), ("digest", stats.digest.to_string())];
        metrics::counter!("velum_plugin_calls_total", &labels).absolute(stats.calls);
        metrics::counter!("velum_plugin_failures_total", &labels).absolute(stats.failures);
        metrics::counter!("velum_plugin_traps_total", &labels).absolute(stats.traps);
        metrics::counter!("velum_plugin_deadlines_total", &labels).absolute(stats.deadlines);
        metrics::counter!("velum_plugin_denials_total", &labels).absolute(stats.denials);
        metrics::counter!("velum_plugin_fuel_total", &labels).absolute(stats.fuel);
        metrics::counter!("velum_plugin_micros_total", &labels).absolute(stats.micros);
        metrics::counter!("velum_plugin_starts_total", &labels).absolute(stats.starts);
        metrics::counter!("velum_plugin_breaks_total", &labels).absolute(stats.breaks);
        let is_refused = f64::from(u8::from(stats.refused_for_ms.is_some()));
        metrics::gauge!("velum_plugin_refused", &labels).set(is_refused);
    }
}

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
            if let Err(refused) = load_plugin(store, runtime, plugin).await {
                tracing::error!(plugin = %plugin.manifest.name, digest = %plugin.digest, %refused, "a plugin does not load");
            }
        }
        let Some(next) = known.next else { return Ok(()) };
        page.after = Some(next);
    }
}

/// Refuses a directory that cannot be read, before anything is taken over for it.
pub fn ensure_readable(directory: &str) -> anyhow::Result<()> {
    if directory.is_empty() {
        return Ok(());
    }
    let read = std::fs::read_dir(directory);
    read.map(drop)
        .with_context(|| format!("could not read the plugins directory {directory}"))
}

/// Installs every component of a directory that is not installed yet; nothing for an empty path. What cannot be installed
/// because its name and version are taken does not keep the server from starting: the installed one goes on working.
pub async fn install_from(services: &Services, store: &Store, directory: &str) -> anyhow::Result<()> {
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
        let offered =
            Offered::read(&path).with_context(|| format!("could not read the plugin {}", path.display()))?;
        offered
            .install(services, store)
            .await
            .with_context(|| format!("could not install {}", path.display()))?;
    }
    Ok(())
}

/// What lies in the plugins directory.
struct Offered {
    path: PathBuf,
    component: Vec<u8>,
    digest: Digest,
    manifest: Option<String>,
}

impl Offered {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let component = std::fs::read(path)?;
        let manifest = match std::fs::read_to_string(path.with_extension("toml")) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).context("could not read its manifest"),
        };
        Ok(Self {
            path: path.to_owned(),
            digest: Digest::from_hex(&hex::encode(Sha256::digest(&component)))?,
            component,
            manifest,
        })
    }

    async fn install(mut self, services: &Services, store: &Store) -> anyhow::Result<()> {
        // Asked before: to compile what is refused in the end would cost every start seconds.
        if let Some(installed) = self.namesake(store).await? {
            self.warn_of(&installed);
            return Ok(());
        }
        let new = NewPlugin {
            component: std::mem::take(&mut self.component),
            manifest: self.manifest.clone(),
            is_operators: true,
            ..NewPlugin::default()
        };
        match services.plugin_install(&system(), new, None).await {
            Ok(_) => Ok(()),
            // Another server was faster.
            Err(error @ ServiceError::NameTaken { .. }) => match self.namesake(store).await? {
                Some(installed) => {
                    self.warn_of(&installed);
                    Ok(())
                }
                None => Err(error.into()),
            },
            // Its name belongs to a publisher: what that signed goes on working.
            Err(ServiceError::Untrusted { problem, .. }) => {
                tracing::warn!(path = %self.path.display(), problem, "a component of the plugins directory stays out");
                Ok(())
            }
            Err(ServiceError::PluginRefused(refused)) => match self.same(store).await? {
                Some(installed) => {
                    tracing::warn!(
                        plugin = %installed.manifest.name,
                        version = installed.manifest.version,
                        digest = %self.digest,
                        path = %self.path.display(),
                        %refused,
                        "this component is installed already, and what lies in the plugins directory does not fit it: \
                         the installed one stays"
                    );
                    Ok(())
                }
                None => Err(refused.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// The installed plugin of the same name and version, if it is another component.
    async fn namesake(&self, store: &Store) -> anyhow::Result<Option<Plugin>> {
        let Some((name, version)) = self.name_and_version() else {
            return Ok(None);
        };
        let filter = PluginFilter {
            name: Some(name),
            version: Some(version),
            ..PluginFilter::default()
        };
        let page = Page {
            limit: 1,
            after: None,
        };
        let found = store
            .read()
            .plugins(&filter, page)
            .await
            .context("could not look up the plugin")?;
        Ok(found
            .items
            .into_iter()
            .find(|plugin| plugin.digest != self.digest))
    }

    /// The same component, if it is installed.
    async fn same(&self, store: &Store) -> anyhow::Result<Option<Plugin>> {
        let found = store.read().plugin_by_digest(&self.digest).await;
        found.context("could not look up the plugin")
    }

    /// As the manifest says; none when it does not say so: installing it then tells what is wrong.
    fn name_and_version(&self) -> Option<(Name, String)> {
        let table: toml::Table = self.manifest.as_ref()?.parse().ok()?;
        let name = Name::new(table.get("name")?.as_str()?).ok()?;
        Some((name, table.get("version")?.as_str()?.to_owned()))
    }

    fn warn_of(&self, installed: &Plugin) {
        tracing::warn!(
            plugin = %installed.manifest.name,
            version = installed.manifest.version,
            installed = %installed.digest,
            offered = %self.digest,
            path = %self.path.display(),
            "another build of a plugin has its name and version, and the installed one stays: raise the version in \
             plugin.toml to install the offered one beside it, or remove the installed one first"
        );
    }
}

/// Who installs at start.
fn system() -> Caller {
    Caller {
        token: Id::from_uuid(uuid::Uuid::nil()),
        name: "velumd".into(),
        scope: Scope::All,
    }
}
