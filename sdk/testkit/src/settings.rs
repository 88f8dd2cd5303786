//! `conformance.toml`: what a plugin's vendor says of the far side that the suite runs against.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;
use velum_model::port::storage::Initiator;

/// What stands in `conformance.toml`; `README.md` of this crate documents each key. All of it may be left out: then the
/// target has no settings, which is enough for policies and for plugins that keep everything in the `state` connector.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// What the far side can, where the contract leaves it open; see [`crate::case::TRAITS`].
    pub traits: Vec<String>,
    /// How long work may take until it must be done, in milliseconds [default: 60000].
    pub patience_ms: Option<u64>,
    /// Programs that stand for the far side while the suite runs.
    #[serde(rename = "process")]
    pub processes: Vec<ProcessSettings>,
    /// The compute host or pool that every call is bound to.
    pub target: TargetSettings,
    /// Compute hosts that volumes are published to: at least two, or the cases about two are left out.
    #[serde(rename = "consumer")]
    pub consumers: Vec<ConsumerSettings>,
    /// What guests are made with.
    pub guest: GuestSettings,
    /// A disk that a guest can be given; `{volume}` is the id of a volume.
    pub disk: Option<DiskSettings>,
    /// A policy's configuration.
    pub policy: PolicySettings,
    /// Cases that this far side cannot show, each with the reason; they are told as left out, with it.
    pub skip: BTreeMap<String, String>,
}

/// A program that is started before the suite and ended behind it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProcessSettings {
    /// The program and its arguments. `{scratch}` is a directory of the run.
    pub command: Vec<String>,
    /// The line on its standard output that says that it is ready; what stands in the place of a `{name}` in it is known
    /// by that name from then on.
    pub ready_line: Option<String>,
    /// A file or socket whose appearance says it.
    pub ready_path: Option<String>,
    /// Directories that are made before.
    #[serde(default)]
    pub directories: Vec<String>,
}

/// The target of every call.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TargetSettings {
    /// Origin of the `http` connector.
    pub endpoint: Option<String>,
    /// Address of the node that executes `libvirt` and `files`.
    pub node: Option<String>,
    /// Where the credential of the `http` connector is (`file:PATH`), as an operator writes it.
    pub secret: Option<String>,
    /// Its settings, as an operator writes them.
    pub config: Option<Value>,
}

/// A compute host that volumes are published to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerSettings {
    /// How storage sees it.
    #[serde(default)]
    pub initiators: Vec<Initiator>,
}

/// What guests are made with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct GuestSettings {
    /// vCPUs.
    pub vcpus: u32,
    /// Memory in MiB; a case that wants a larger guest takes twice as much.
    pub memory_mib: u64,
    /// 1 x86-64, 2 AArch64.
    pub arch: u16,
}

impl Default for GuestSettings {
    fn default() -> Self {
        Self {
            vcpus: 1,
            memory_mib: 64,
            arch: 1,
        }
    }
}

/// A disk that a guest can be given while it is off.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DiskSettings {
    /// Kind of its attachment.
    pub kind: u16,
    /// Its format.
    #[serde(default = "raw")]
    pub format: u16,
    /// What the device shows.
    pub identity: String,
    /// Its path, for kinds that have one.
    #[serde(default)]
    pub path: Option<String>,
    /// Its size.
    #[serde(default = "gibibyte")]
    pub size_bytes: u64,
}

const fn raw() -> u16 {
    1
}

const fn gibibyte() -> u64 {
    1 << 30
}

/// A policy's configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PolicySettings {
    /// The one that the suite runs with [default: empty].
    pub config: Option<Value>,
    /// Configurations that the policy itself must refuse.
    pub bad: Vec<BadConfig>,
}

/// A configuration that must be refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadConfig {
    /// Its text.
    pub json: String,
    /// The field that the refusal must name.
    pub names: String,
}

/// Why a `conformance.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file.
    #[error("could not read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Its text.
    #[error("{}: {problem}", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// What is wrong, with the line.
        problem: String,
    },
}

impl Settings {
    /// Reads a file.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|problem| SettingsError::Parse {
            path: path.to_owned(),
            problem,
        })
    }

    /// Reads its text.
    ///
    /// # Errors
    /// What is wrong with it, with the line and the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let settings: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        for known in &settings.traits {
            if !crate::case::TRAITS.iter().any(|(name, _)| name == known) {
                let names: Vec<_> = crate::case::TRAITS.iter().map(|(name, _)| *name).collect();
                return Err(format!(
                    "traits: {known:?} is none; there are {}",
                    names.join(", ")
                ));
            }
        }
        Ok(settings)
    }

    /// The same with every `{name}` put in its place.
    #[must_use]
    pub fn resolved(&self, names: &BTreeMap<String, String>) -> Self {
        let put = |text: &String| put(text, names);
        let mut resolved = self.clone();
        let target = &mut resolved.target;
        for text in [&mut target.endpoint, &mut target.node, &mut target.secret] {
            *text = text.as_ref().map(put);
        }
        target.config = target.config.as_ref().map(|config| put_all(config, names));
        for consumer in &mut resolved.consumers {
            for initiator in &mut consumer.initiators {
                initiator.value = put(&initiator.value);
            }
        }
        if let Some(disk) = &mut resolved.disk {
            disk.identity = put(&disk.identity);
            disk.path = disk.path.as_ref().map(put);
        }
        resolved
    }
}

/// A text with every known `{name}` put in its place; others stay.
pub(crate) fn put(text: &str, names: &BTreeMap<String, String>) -> String {
    names.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{name}}}"), value)
    })
}

fn put_all(value: &Value, names: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => Value::String(put(text, names)),
        Value::Array(items) => items.iter().map(|item| put_all(item, names)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), put_all(value, names)))
            .collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_said_stands_in_the_settings() {
        let text = "[[process]]\ncommand = [\"far\"]\nready-line = \"at {far}\"\n[target]\nendpoint = \"{far}/v1\"\n\
                    config = { pool = \"p\", url = \"{far}\" }\n";
        let settings = Settings::parse(text).unwrap();
        let names = BTreeMap::from([("far".to_owned(), "http://x".to_owned())]);
        let resolved = settings.resolved(&names);
        assert_eq!(resolved.target.endpoint.as_deref(), Some("http://x/v1"));
        assert_eq!(resolved.target.config.unwrap()["url"], "http://x");
    }

    #[test]
    fn what_is_not_known_is_named() {
        assert!(Settings::parse("trait = []").unwrap_err().contains("trait"));
        assert!(
            Settings::parse("traits = [\"flies\"]")
                .unwrap_err()
                .contains("flies")
        );
    }
}
