//! Decisions are data (law 11): why a guest is where it is, or why nowhere.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    id::*,
    plugin::{Digest, Fallback},
    port::placement::PolicyFailure,
    time::Timestamp,
};

/// Why a compute host or pool was no candidate. `Policy` carries the policy's own code; the rest are the server's
/// hard filters, in the order in which they are applied: the first that refuses counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Refusal {
    /// The operator disabled it.
    Disabled,
    /// The operator put it into maintenance.
    Maintenance,
    /// It is not up.
    NotUp,
    /// It is dedicated to another project.
    Dedicated,
    /// The driver does not run this architecture.
    Architecture,
    /// A tag of the offering is missing.
    Tag {
        /// The first missing tag.
        tag: String,
    },
    /// The driver cannot plug the network's kind of NIC.
    NicKind,
    /// Not enough vCPUs.
    Vcpus,
    /// Not enough memory.
    Memory,
    /// Not enough of a countable resource. How much is free is not said: refusals are counted by what they say, and each host may
    /// have another amount.
    Resource {
        /// The first resource that is short.
        resource: String,
        /// How much is asked for.
        asked: u32,
    },
    /// No pool that it reaches has the storage tags.
    StorageTags,
    /// No pool that it reaches can be attached to it.
    StorageReach,
    /// No pool that it reaches has the space.
    StorageSpace,
    /// An existing volume pins the instance elsewhere.
    VolumeElsewhere,
    /// A member of a group that keeps its members apart is there.
    AntiAffinity {
        /// The group's name.
        group: String,
    },
    /// The members of a group that keeps its members together are elsewhere.
    Affinity {
        /// The group's name.
        group: String,
    },
    /// Excluded by the operation after a failure there.
    Excluded,
    /// The policy refused it.
    Policy {
        /// Its code.
        code: u16,
        /// The policy's words for the code.
        words: String,
    },
}

impl Refusal {
    /// Stable name, for counting.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Disabled => "disabled".into(),
            Self::Maintenance => "maintenance".into(),
            Self::NotUp => "not-up".into(),
            Self::Dedicated => "dedicated".into(),
            Self::Architecture => "architecture".into(),
            Self::Tag { tag } => format!("tag:{tag}"),
            Self::NicKind => "nic-kind".into(),
            Self::Vcpus => "vcpus".into(),
            Self::Memory => "memory".into(),
            Self::Resource { resource, .. } => format!("resource:{resource}"),
            Self::StorageTags => "storage-tags".into(),
            Self::StorageReach => "storage-reach".into(),
            Self::StorageSpace => "storage-space".into(),
            Self::VolumeElsewhere => "volume-elsewhere".into(),
            Self::AntiAffinity { group } => format!("anti-affinity:{group}"),
            Self::Affinity { group } => format!("affinity:{group}"),
            Self::Excluded => "excluded".into(),
            Self::Policy { code, .. } => format!("policy:{code}"),
        }
    }

    /// In words, for `velum instance why`.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Disabled => "disabled by the operator".into(),
            Self::Maintenance => "in maintenance".into(),
            Self::NotUp => "not seen up".into(),
            Self::Dedicated => "dedicated to another project".into(),
            Self::Architecture => "another architecture".into(),
            Self::Tag { tag } => format!("lacks the tag {tag}"),
            Self::NicKind => "cannot plug into the network".into(),
            Self::Vcpus => "not enough vCPUs free".into(),
            Self::Memory => "not enough memory free".into(),
            Self::Resource { resource, asked } => format!("resource {resource}: {asked} asked, fewer free"),
            Self::StorageTags => "reaches no pool with the storage tags".into(),
            Self::StorageReach => "reaches no pool that it can attach from".into(),
            Self::StorageSpace => "reaches no pool with enough space".into(),
            Self::VolumeElsewhere => "does not reach the pool of an existing volume".into(),
            Self::AntiAffinity { group } => format!("too near a member of the anti-affinity group {group}"),
            Self::Affinity { group } => format!("not where the members of the affinity group {group} are"),
            Self::Excluded => "an attempt there failed".into(),
            Self::Policy { code, words } if words.is_empty() => {
                format!("refused by the policy (code {code})")
            }
            Self::Policy { words, .. } => words.clone(),
        }
    }
}

/// Which policy decided, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyUsed {
    /// The policy row; none for the built-in one.
    pub policy: Option<PolicyId>,
    /// Its name, `built-in` without a row.
    pub name: String,
    /// The component; none for the built-in one.
    pub digest: Option<Digest>,
    /// Generation of the policy row.
    pub generation: u64,
    /// Its configuration.
    pub config: Value,
    /// Set when it failed and the fallback decided.
    pub failed: Option<PolicyFailure>,
    /// What was done then.
    pub fallback: Option<Fallback>,
}

/// How far a candidate is from what the instance's project and groups prefer. The best candidate of the first tier that has one wins:
/// the score decides within a tier only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tier {
    /// It is not dedicated to the project, and others are.
    #[serde(default)]
    pub shared: bool,
    /// Members of its preferred anti-affinity groups that are too near, and preferred affinity groups whose members are elsewhere.
    #[serde(default)]
    pub unmet: u32,
}

impl Tier {
    /// Whether nothing is preferred to it.
    #[must_use]
    pub fn is_first(&self) -> bool {
        *self == Self::default()
    }
}

/// A candidate with its score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranked {
    /// The compute host.
    pub compute_host: ComputeHostId,
    /// Its score; higher is better.
    pub score: u32,
    /// Its tier, which counts before the score.
    #[serde(default, skip_serializing_if = "Tier::is_first")]
    pub tier: Tier,
}

/// How many hosts were refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalCount {
    /// [`Refusal::name`].
    pub reason: String,
    /// [`Refusal::words`].
    pub words: String,
    /// How many.
    pub hosts: u32,
}

/// Why a guest is where it is, or why nowhere. Stored with the claim, or alone when there is none; a dry run's is answered and not
/// stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Its id.
    pub id: DecisionId,
    /// Whose.
    pub project: ProjectId,
    /// In which zone.
    pub zone: ZoneId,
    /// For which instance.
    pub instance: InstanceId,
    /// What was asked, as data (vCPUs, memory, resources, tags, template, …).
    pub ask: Value,
    /// Epoch of the inventory that was read.
    pub inventory_epoch: u64,
    /// Which policy decided.
    pub policy: PolicyUsed,
    /// The seed that the policy and tie-breaks got.
    pub seed: u64,
    /// Who won; none = no capacity.
    pub winner: Option<Ranked>,
    /// The pool of each disk, root first.
    pub pools: Vec<StoragePoolId>,
    /// At most 16 others, best first.
    pub runners_up: Vec<Ranked>,
    /// Hosts looked at.
    pub considered: u32,
    /// Hosts refused, by reason, most frequent first.
    pub refused: Vec<RefusalCount>,
    /// Every refused host with its reason, for a dry run and for small zones (at most 256 hosts); the rest is
    /// recomputed.
    pub refusals: Vec<HostRefusal>,
    /// Fuel that the policy used.
    pub fuel: u64,
    /// Time from ask to choice, microseconds.
    pub micros: u64,
    /// When.
    pub at: Timestamp,
}

/// One refused host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRefusal {
    /// Which.
    pub compute_host: ComputeHostId,
    /// Why.
    pub refusal: Refusal,
}

/// Runners-up kept in a decision.
pub const RUNNERS_UP: usize = 16;
/// Refused hosts listed one by one in a decision; beyond, they are counted and recomputed on demand.
pub const REFUSALS_LISTED: usize = 256;
