//! Decisions: why a guest is where it is, or why nowhere.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{policy::Fallback, problem::RefusalView};

/// Which policy decided, exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyUsedView {
    /// The policy; null for the built-in one.
    pub id: Option<Uuid>,
    /// Its name, `built-in` without a policy.
    pub name: String,
    /// Digest of its component; null for the built-in one.
    pub digest: Option<String>,
    /// Generation of the policy that was used.
    pub generation: u64,
    /// Its configuration.
    #[schema(value_type = Object)]
    pub config: Value,
    /// How it failed, when the fallback decided.
    pub failed: Option<String>,
    /// What was done then.
    pub fallback: Option<Fallback>,
}

/// A compute host with its score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RankedView {
    /// The compute host.
    pub compute_host_id: Uuid,
    /// Its name; null when it is not known here: the answers about an instance have it.
    pub compute_host_name: Option<String>,
    /// Its score; higher is better, among those of one tier.
    pub score: u32,
    /// It is not dedicated to the project, and others are: it comes after those.
    #[serde(default)]
    pub shared: bool,
    /// Members of the instance's preferred anti-affinity groups that are too near, and preferred affinity groups whose members are
    /// elsewhere: fewer come first.
    #[serde(default)]
    pub unmet: u32,
}

/// A refused compute host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostRefusalView {
    /// The compute host.
    pub compute_host_id: Uuid,
    /// Its name; null when it is not known here: the answers about an instance have it.
    pub compute_host_name: Option<String>,
    /// Stable: `memory`, `vcpus`, `tag:ssd`, `policy:7`, …
    pub reason: String,
    /// In words.
    pub words: String,
}

/// The pool of a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionPoolView {
    /// The pool.
    pub storage_pool_id: Uuid,
    /// Its name; null when it is not known here: the answers about an instance have it.
    pub storage_pool_name: Option<String>,
}

/// Why a guest is where it is, or why nowhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DecisionView {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub project_id: Uuid,
    /// In which zone.
    pub zone_id: Uuid,
    /// For which instance.
    pub instance_id: Uuid,
    /// What was asked.
    #[schema(value_type = Object)]
    pub ask: Value,
    /// Epoch of the inventory that was read.
    pub inventory_epoch: u64,
    /// Which policy decided.
    pub policy: PolicyUsedView,
    /// The seed that the policy and tie-breaks got, as decimal text: it does not fit every reader's numbers.
    pub seed: String,
    /// Who won; null when none could.
    pub winner: Option<RankedView>,
    /// At most 16 others, best first.
    pub runners_up: Vec<RankedView>,
    /// The pool of each disk, root first.
    pub pools: Vec<DecisionPoolView>,
    /// Compute hosts looked at.
    pub considered: u32,
    /// Compute hosts refused, by reason, most frequent first.
    pub refused: Vec<RefusalView>,
    /// Refused compute hosts one by one, at most 256.
    pub refusals: Vec<HostRefusalView>,
    /// Fuel that the policy used.
    pub fuel: u64,
    /// Time from ask to choice, microseconds.
    pub micros: u64,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
}
