//! Policies: a name for a plugin and its configuration.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// What is done when a policy traps, runs out of fuel or answers nonsense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// The built-in policy decides, and the decision says so.
    #[default]
    BuiltIn,
    /// The request is refused.
    Refuse,
}

/// How a policy came to its component and configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

/// A name for a plugin's digest and a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyView {
    /// Its id.
    pub id: Uuid,
    /// Unique.
    pub name: String,
    /// Which component.
    pub digest: String,
    /// Its configuration.
    #[schema(value_type = Object)]
    pub config: Value,
    /// What is done when it fails.
    pub fallback: Fallback,
    /// Grows with every change; the ETag. Decisions name the one that they were made under.
    pub generation: u64,
    /// Since when it has this component and configuration.
    #[schema(format = DateTime)]
    pub since: String,
    /// How it came to have them.
    pub cause: PolicyCause,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A policy to make.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePolicyBody {
    /// Unique.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// Which component: the digest of an installed placement policy. Instead of `plugin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    pub digest: Option<String>,
    /// Which component: the newest installed one of this name. Instead of `digest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", example = "placement-best-fit")]
    pub plugin: Option<String>,
    /// Its configuration, checked against the plugin's schema.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub config: Value,
    /// What is done when it fails; the built-in policy decides unless said otherwise.
    #[serde(default)]
    #[schema(inline)]
    pub fallback: Fallback,
}

/// What is to change of a policy; what is absent stays. The next decision is made under it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdatePolicyBody {
    /// Unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: Option<String>,
    /// Another component, by digest. Instead of `plugin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    pub digest: Option<String>,
    /// Another component: the newest installed one of this name. Instead of `digest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub plugin: Option<String>,
    /// Its configuration, checked against the plugin's schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub config: Option<Value>,
    /// What is done when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// A generation of a policy, as it is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyVersionView {
    /// Which generation.
    pub generation: u64,
    /// Which component.
    pub digest: String,
    /// Its configuration.
    #[schema(value_type = Object)]
    pub config: Value,
    /// What was done when it failed.
    pub fallback: Fallback,
    /// How it came to be.
    pub cause: PolicyCause,
    /// Why, in words.
    pub reason: String,
    /// Who made it so; `velumd` is the server itself.
    pub caller: String,
    /// When.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// Which generation of a policy is to be put back. May be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackPolicyBody {
    /// Which generation; the last one that was made of something else unless named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub generation: Option<u64>,
    /// Why, for the policy's history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// A shadow to begin: a component that sees what a policy is asked, and whose answers are counted and not used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowPolicyBody {
    /// Which component, by digest; the policy's own unless named. Instead of `plugin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    pub digest: Option<String>,
    /// Which component: the newest installed one of this name. Instead of `digest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub plugin: Option<String>,
    /// Its configuration; the policy's own unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub config: Option<Value>,
}

/// A shadow, and what was seen of it so far. Averages are over the asks that both answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShadowView {
    /// Its id: each beginning is another one.
    pub id: Uuid,
    /// The policy whose asks it sees.
    pub policy_id: Uuid,
    /// Which component.
    pub digest: String,
    /// Its configuration.
    #[schema(value_type = Object)]
    pub config: Value,
    /// Who began it.
    pub caller: String,
    /// When.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// Asks that the policy decided while the shadow was there.
    pub asks: u64,
    /// Of these, asks that the shadow was not shown, because it was still busy with others.
    pub dropped: u64,
    /// Asks that both answered.
    pub compared: u64,
    /// Of those, asks for which both would have chosen the same compute host, or none.
    pub same_winner: u64,
    /// The same in thousandths; null before anything was compared.
    pub same_winner_permille: Option<u64>,
    /// How alike the order of the policy's best 16 is: pairs in the same order, in thousandths, on average.
    pub rank_agreement_permille: Option<u64>,
    /// Compute hosts that the shadow refused and the policy did not, over all asks.
    pub refusals_added: u64,
    /// Asks for which the shadow refused every compute host that the policy ranked.
    pub refused_all: u64,
    /// Fuel of the shadow's scoring, on average.
    pub fuel: Option<u64>,
    /// Fuel of the policy's, over all asks, on average.
    pub active_fuel: Option<u64>,
    /// Time of the shadow's scoring, microseconds, on average.
    pub micros: Option<u64>,
    /// Time of the policy's decisions, filters included, microseconds, on average.
    pub active_micros: Option<u64>,
    /// Asks at which the shadow gave no answer, by kind.
    pub failures: ShadowFailuresView,
    /// Asks at which the policy itself failed: nothing is compared then.
    pub active_failed: u64,
}

/// How often a shadow gave no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowFailuresView {
    /// It trapped.
    pub trapped: u64,
    /// Its fuel ran out.
    pub out_of_fuel: u64,
    /// Its answer was not usable.
    pub nonsense: u64,
    /// It could not be asked: its breaker was open, or it does not take its configuration.
    pub unavailable: u64,
}

/// Decisions of a zone to be given to a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluatePolicyBody {
    /// The zone.
    pub zone_id: Uuid,
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
    /// So many of the zone's latest decisions; 1000 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 20000)]
    pub last: Option<u32>,
}

/// How full a zone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackingView {
    /// Compute hosts.
    pub compute_hosts: u32,
    /// Those without a run.
    pub empty: u32,
    /// vCPUs promised.
    pub vcpus_used: u64,
    /// vCPUs that may be promised on compute hosts with a run.
    pub vcpus_there: u64,
    /// Memory promised.
    pub memory_used_mib: u64,
    /// Memory that may be promised on compute hosts with a run.
    pub memory_there_mib: u64,
}

/// How full a zone was and would have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvaluationSampleView {
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// As it was.
    pub was: PackingView,
    /// As it would have been.
    pub would: PackingView,
}

/// A machine that would have gone elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MoveView {
    /// The decision.
    pub decision_id: Uuid,
    /// The machine.
    pub instance_id: Uuid,
    /// The compute host where it went; null: nowhere.
    pub was: Option<Uuid>,
    /// The compute host where it would have gone; null: nowhere.
    pub would: Option<Uuid>,
}

/// What would have come of a zone's latest decisions under another policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EvaluationView {
    /// The policy.
    pub policy: crate::decision::PolicyUsedView,
    /// When the first of the decisions was made; null without any.
    #[schema(format = DateTime)]
    pub first_at: Option<String>,
    /// When the last was made.
    #[schema(format = DateTime)]
    pub last_at: Option<String>,
    /// Decisions that were given to it.
    pub decisions: u64,
    /// Those that would have come out the same.
    pub same: u64,
    /// Machines that would have gone to another compute host.
    pub moved: u64,
    /// Asks that were refused.
    pub refused_was: u64,
    /// Asks that would have been refused.
    pub refused_would: u64,
    /// Asks at which the policy failed; the built-in one decided those.
    pub failed: u64,
    /// How it failed first.
    pub failure: Option<String>,
    /// The first hundred machines that would have gone elsewhere, or nowhere, or would not have been refused.
    pub moves: Vec<MoveView>,
    /// How full the zone was and would have been, at moments spread evenly over the decisions.
    pub samples: Vec<EvaluationSampleView>,
    /// Decisions that could not be looked at: nothing is kept of their time.
    pub skipped: u64,
    /// How often the zone as it would have been was set to what it was in the midst: the server had begun anew, or had read the
    /// zone again.
    pub restarts: u64,
    /// Fuel that the policy used in all.
    pub fuel: u64,
    /// False when it took too long, and the rest was left out.
    pub complete: bool,
    /// How long it took.
    pub took_ms: u64,
}
