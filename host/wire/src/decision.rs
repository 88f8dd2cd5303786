//! Decisions: why a guest is where it is, or why nowhere.

use std::collections::BTreeMap;

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
    /// At most 16 others, best first. None in lists.
    #[serde(default)]
    #[schema(required = true)]
    pub runners_up: Vec<RankedView>,
    /// The pool of each disk, root first.
    pub pools: Vec<DecisionPoolView>,
    /// Compute hosts looked at.
    pub considered: u32,
    /// Compute hosts refused, by reason, most frequent first.
    pub refused: Vec<RefusalView>,
    /// Refused compute hosts one by one, at most 256. None in lists: `refused` counts them.
    #[serde(default)]
    #[schema(required = true)]
    pub refusals: Vec<HostRefusalView>,
    /// Fuel that the policy used.
    pub fuel: u64,
    /// Time from ask to choice, microseconds.
    pub micros: u64,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
}

/// What was said of a compute host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It could have been chosen: it has a score.
    Ranked,
    /// A filter, the policy or the want of a pool refused it.
    Refused,
    /// It was not among those that the policy was shown.
    NotShown,
}

/// A compute host as a decision saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CandidateView {
    /// The compute host.
    pub compute_host_id: Uuid,
    /// Its name; null when it is gone.
    pub compute_host_name: Option<String>,
    /// What was said of it.
    pub verdict: Verdict,
    /// Its score; higher is better, among those of one tier.
    pub score: Option<u32>,
    /// It is not dedicated to the project, and others are: it comes after those.
    pub shared: bool,
    /// Members of the instance's preferred anti-affinity groups that are too near, and preferred affinity groups whose members are
    /// elsewhere: fewer come first.
    pub unmet: u32,
    /// Why it was refused. Stable: `memory`, `vcpus`, `resource:gpu`, `tag:ssd`, `policy:7`, …
    pub reason: Option<String>,
    /// The same in words.
    pub words: Option<String>,
    /// vCPUs that could still be promised there.
    pub free_vcpus: u64,
    /// vCPUs that may be promised there in all.
    pub total_vcpus: u64,
    /// Memory that could still be promised there.
    pub free_memory_mib: u64,
    /// Memory that may be promised there in all.
    pub total_memory_mib: u64,
    /// Countable resources that it has, and those that were asked for.
    #[serde(default)]
    pub resources: BTreeMap<String, CandidateResourceView>,
    /// Runs that were there.
    pub runs: u32,
    /// Runs of the same project that were there.
    pub runs_of_project: u32,
    /// Members of the instance's affinity groups that were there.
    pub kin: u32,
    /// The latest minute since 1970 at which one of its runs was expected to end: 0 without any, 4294967295 when nobody said it of
    /// one of them.
    pub latest_end_minute: u32,
    /// Whether it reached a pool with the template.
    pub has_template: bool,
    /// A number that compute hosts of the same pod share, as policies see it.
    pub pod: u32,
    /// A number that compute hosts of the same cluster share, as policies see it.
    pub cluster: u32,
    /// Its numeric attributes.
    pub attributes: BTreeMap<String, u32>,
}

/// A countable resource of a compute host as a decision saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CandidateResourceView {
    /// How much could still be promised there.
    pub free: u64,
    /// How much may be promised there in all.
    pub total: u64,
}

/// Who is to make a decision once more; what is left out is as it was then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayDecisionBody {
    /// Which component, by digest. Instead of `plugin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    pub digest: Option<String>,
    /// Which component: the newest installed one of this name. Instead of `digest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub plugin: Option<String>,
    /// Its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub config: Option<Value>,
}

/// A decision made once more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReplayView {
    /// The decision as it was made.
    pub decision: DecisionView,
    /// By the policy of then: whether everything that is stored of it came out bit for bit the same. By another: whether the
    /// compute host and the pools are the same.
    pub same: bool,
    /// Who decided this time.
    pub policy: PolicyUsedView,
    /// Who won this time; null when none could.
    pub winner: Option<RankedView>,
    /// At most 16 others, best first.
    pub runners_up: Vec<RankedView>,
    /// The pool of each disk, root first.
    pub pools: Vec<DecisionPoolView>,
    /// Compute hosts with the winner's score, the winner among them.
    pub ties: u32,
    /// Compute hosts refused, by reason, most frequent first.
    pub refused: Vec<RefusalView>,
    /// Fuel that the policy used.
    pub fuel: u64,
}
