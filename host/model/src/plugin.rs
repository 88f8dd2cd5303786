//! Plugins as the server knows them: digests, worlds, manifests, policies.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    grant::Capabilities,
    id::{ActivationId, PluginId, PolicyId, ShadowId, ZoneId},
    name::Name,
    time::Timestamp,
    trust::Origin,
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
    pub capabilities: Capabilities,
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
    /// What the operator granted of it.
    pub grant: Capabilities,
    /// Whose word it is.
    pub origin: Origin,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// Interfaces that it exports.
    pub exports: Vec<String>,
    /// Size of the component in bytes.
    pub size_bytes: u64,
    /// When it was installed.
    pub created_at: Timestamp,
}

/// Which version of a plugin new compute hosts or pools of a zone get, and what was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Its id.
    pub id: ActivationId,
    /// Where.
    pub zone: ZoneId,
    /// Name of the plugin.
    pub name: Name,
    /// Which version, by its component.
    pub digest: Digest,
    /// The version before: where a rollback leads.
    pub previous: Option<Digest>,
    /// Grows with every change.
    pub generation: u64,
    /// Who activated it.
    pub caller: String,
    /// When.
    pub changed_at: Timestamp,
}

/// What uses a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginUse {
    /// Zones in which it is the active version of its name.
    pub zones: Vec<ZoneId>,
    /// Compute hosts that it drives.
    pub compute_hosts: u64,
    /// Storage pools that it drives.
    pub storage_pools: u64,
    /// Policies that are made of it.
    pub policies: u64,
    /// Shadows that try it.
    pub shadows: u64,
    /// Operations that were accepted before another version took its place, and keep it until they end.
    pub operations: u64,
}

/// Where an installed plugin is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginState {
    /// Nothing uses it, and nothing did since it was installed.
    Installed,
    /// Compute hosts, pools or policies use it.
    Active,
    /// Superseded; operations in flight keep it until they end.
    Draining,
    /// A shadow tries it, and nothing else uses it.
    Shadow,
}

impl PluginUse {
    /// What that makes the plugin.
    #[must_use]
    pub fn state(&self) -> PluginState {
        let used = self.compute_hosts + self.storage_pools + self.policies;
        if used > 0 || !self.zones.is_empty() {
            PluginState::Active
        } else if self.operations > 0 {
            PluginState::Draining
        } else if self.shadows > 0 {
            PluginState::Shadow
        } else {
            PluginState::Installed
        }
    }
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
    /// Since when it has this component and configuration.
    pub since: Timestamp,
    /// How it came to have them.
    pub cause: PolicyCause,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How a policy came to its component and configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyCause {
    /// It was made with them.
    Created,
    /// Somebody changed it.
    Changed,
    /// A shadow was promoted.
    Promoted,
    /// Somebody put an earlier version back.
    RolledBack,
    /// The server put the version before back, because the new one did not do.
    RolledBackByServer,
}

impl PolicyCause {
    /// Whether the version is watched for a while, to be taken back if it does not do. What the server put back is not:
    /// two bad versions would take turns for ever.
    #[must_use]
    pub const fn is_on_probation(self) -> bool {
        matches!(self, Self::Changed | Self::Promoted | Self::RolledBack)
    }
}

/// A generation of a policy, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Whose.
    pub policy: PolicyId,
    /// Which generation.
    pub generation: u64,
    /// Which component.
    pub digest: Digest,
    /// Its configuration.
    pub config: Value,
    /// What happened when it failed.
    pub fallback: Fallback,
    /// How it came to be.
    pub cause: PolicyCause,
    /// Why, in words.
    pub reason: String,
    /// Who made it so.
    pub caller: String,
    /// When.
    pub created_at: Timestamp,
}

/// A component that sees a policy's asks and decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyShadow {
    /// Its id: each beginning is another one, with counts of its own.
    pub id: ShadowId,
    /// The policy whose asks it sees.
    pub policy: PolicyId,
    /// Which component.
    pub digest: Digest,
    /// Its configuration.
    pub config: Value,
    /// Who began it.
    pub caller: String,
    /// When.
    pub started_at: Timestamp,
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
