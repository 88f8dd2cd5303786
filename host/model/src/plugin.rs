//! Plugins as the server knows them: digests, worlds, manifests, policies.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    id::{PluginId, PolicyId},
    name::Name,
    time::Timestamp,
};

/// SHA-256 of a component, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// The text is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 'sha256:' and 64 lower-case hexadecimal digits")]
pub struct DigestError;

impl Digest {
    /// From the hexadecimal digits alone.
    ///
    /// # Errors
    /// [`DigestError`] when they are not 64 lower-case hexadecimal digits.
    pub fn from_hex(hex: &str) -> Result<Self, DigestError> {
        let fits = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if fits {
            Ok(Self(format!("sha256:{hex}")))
        } else {
            Err(DigestError)
        }
    }

    /// The 64 digits: a file name.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or(&self.0)
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::from_hex(text.strip_prefix("sha256:").ok_or(DigestError)?)
    }
}
impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}
impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// Ranks compute hosts or storage pools.
    PlacementPolicy,
    /// Drives guests on compute hosts.
    HypervisorDriver,
    /// Drives volumes on a storage pool.
    StorageProvider,
}

impl World {
    /// The name in WIT, in `plugin.toml` and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlacementPolicy => "placement-policy",
            Self::HypervisorDriver => "hypervisor-driver",
            Self::StorageProvider => "storage-provider",
        }
    }
}

impl FromStr for World {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [
            Self::PlacementPolicy,
            Self::HypervisorDriver,
            Self::StorageProvider,
        ]
        .into_iter()
        .find(|w| w.as_str() == text)
        .ok_or(())
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a plugin asks for: its `plugin.toml`. The operator's grant is the other key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name, unique together with the version.
    pub name: Name,
    /// Semantic version.
    pub version: String,
    /// Its world.
    pub world: World,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// Connectors it wants: connector name to what of it (`http` -> methods and path prefixes; `libvirt`, `files`,
    /// `state`, `secrets` -> an empty table).
    #[serde(default)]
    pub capabilities: BTreeMap<String, Value>,
    /// JSON Schema of a policy's configuration.
    #[serde(default)]
    pub config: Option<Value>,
    /// JSON Schema of the settings of a target (compute host or pool).
    #[serde(default)]
    pub target: Option<Value>,
    /// Limits that differ from the server's defaults, capped by them.
    #[serde(default)]
    pub limits: BTreeMap<String, u64>,
}

/// An installed plugin: one digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// Its id.
    pub id: PluginId,
    /// What it is made of.
    pub digest: Digest,
    /// What it asks for.
    pub manifest: Manifest,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// Interfaces that it exports.
    pub exports: Vec<String>,
    /// Size of the component in bytes.
    pub size_bytes: u64,
    /// When it was installed.
    pub created_at: Timestamp,
}

/// A policy: a name for a plugin's digest and a configuration. Changing either is a new generation; a decision carries
/// digest and generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its id.
    pub id: PolicyId,
    /// Its name.
    pub name: Name,
    /// Which component.
    pub digest: Digest,
    /// Checked against the plugin's schema.
    pub config: Value,
    /// What happens when it fails.
    pub fallback: Fallback,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What the server does when a policy traps, runs out of fuel or answers nonsense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// The built-in policy decides, and the decision says so.
    #[default]
    BuiltIn,
    /// The request is refused.
    Refuse,
}
