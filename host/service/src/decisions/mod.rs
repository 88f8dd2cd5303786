//! Decisions after they were made: kept, looked at in full, made again, given to another policy, forgotten.

mod evaluate;
mod forget;
mod keep;
mod look;
mod replay;

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use serde_json::Value;
use velum_model::{
    DecisionId, Timestamp, ZoneId,
    decision::{Decision, PolicyUsed},
    plugin::Fallback,
    port::plugins::PluginRefused,
};
use velum_placement::{Candidate, Inventory, Outcome, Packing, PolicyLabel, Ranker, Tally};

use crate::{
    error::ServiceError,
    history::{NotKept, Past},
    policies::PluginChoice,
    services::Services,
    targets::refused_config,
};

pub(crate) use keep::Refusals;

pub use evaluate::{EVALUATED_MAX, EVALUATION_MS};

/// A decision that is older was written down with its inventory, or never will be.
const WRITTEN_WITHIN_MS: u64 = 10_000;
/// Inventories of the past that are in memory at once: one of a large zone has some hundred MB.
pub(crate) const PASTS: usize = 2;
/// Decisions in full that are kept for the next page: a person turns the pages of one, and each of a large zone has 10 MB.
const LOOKS: usize = 2;

/// Another policy than the one that decided; none = as it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OtherPolicy {
    /// Which component.
    pub plugin: Option<PluginChoice>,
    /// Its configuration.
    pub config: Option<Value>,
}

/// A decision made once more.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// As it was made.
    pub decision: Decision,
    /// Who decided this time.
    pub policy: PolicyUsed,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether all that is stored of it came out bit for bit the same; with another policy, whether the places are the same.
    pub is_same: bool,
    /// Compute hosts that had the winner's score, the winner among them.
    pub ties: u32,
}

/// Decisions of a zone to be given to a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvaluation {
    /// The zone.
    pub zone: ZoneId,
    /// Which component.
    pub plugin: PluginChoice,
    /// Its configuration.
    pub config: Value,
    /// So many of its latest decisions, 1 to [`EVALUATED_MAX`].
    pub last: u32,
}

/// What came of giving decisions to a policy.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// The policy.
    pub policy: PolicyUsed,
    /// When the first of the decisions was made, and the last.
    pub between: Option<(Timestamp, Timestamp)>,
    /// What came of them.
    pub tally: Tally,
    /// How full the zone was and would have been, at moments spread evenly over the decisions.
    pub samples: Vec<Sample>,
    /// Decisions that could not be looked at: of their time nothing is kept.
    pub skipped: u64,
    /// How often both zones were set equal in the midst: the server had begun anew, or had read the zone again.
    pub restarts: u64,
    /// False when it took too long: the rest was left out.
    pub is_complete: bool,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// How full a zone was and would have been.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// As it was.
    pub then: Packing,
    /// As it would have been.
    pub would: Packing,
}

/// A decision in full.
pub(crate) struct Looked {
    decision: DecisionId,
    candidates: Vec<Candidate>,
}

/// Decisions that were looked at lately.
#[derive(Default)]
pub(crate) struct Looks {
    latest: Mutex<VecDeque<Arc<Looked>>>,
}

impl Looks {
    fn get(&self, decision: DecisionId) -> Option<Arc<Looked>> {
        let latest = self.latest.lock();
        latest.iter().find(|looked| looked.decision == decision).cloned()
    }

    fn put(&self, looked: Arc<Looked>) {
        let mut latest = self.latest.lock();
        latest.retain(|other| other.decision != looked.decision);
        latest.push_front(looked);
        latest.truncate(LOOKS);
    }
}

impl Services {
    /// The inventory that a decision read.
    async fn inventory_of(&self, decision: &Decision) -> Result<Inventory, ServiceError> {
        // What is a second old may not be written yet.
        self.keep_histories().await;
        let past = Past::new(self.keeping().histories(), decision.zone);
        let inventory = past.inventory(decision.inventory_epoch).await;
        inventory.map_err(|error| match error {
            // Another server writes it down within a second.
            NotKept::Never {
                epoch,
                kept: Some((_, last)),
            } if epoch > last && self.now().millis_since(decision.at) < WRITTEN_WITHIN_MS => {
                ServiceError::Unavailable {
                    problem: "the inventory that it read is not written down yet".into(),
                    retry_after_s: crate::error::SOON_S,
                }
            }
            error => not_kept(error, decision),
        })
    }

    /// A ranker of what decided then: its plugin may have been removed since, which waiting does not mend.
    async fn ranker_then(&self, decision: DecisionId, used: &PolicyUsed) -> Result<Ranker, ServiceError> {
        match self.ranker_of(used).await {
            Err(ServiceError::PluginRefused(PluginRefused::NotLoaded(digest)))
                if self.plugin_of(&digest).await?.is_none() =>
            {
                Err(ServiceError::InvalidState {
                    what: "decision",
                    id: decision.uuid(),
                    problem: format!(
                        "the plugin {digest} of its policy {} is not installed any more: install it again, or, where it chose the compute host, replay the decision with another one",
                        used.name
                    ),
                })
            }
            other => other,
        }
    }

    /// A ranker that is the policy which decided; with another configuration, if there is one.
    async fn ranker_of(&self, used: &PolicyUsed) -> Result<Ranker, ServiceError> {
        let label = label_of(used);
        if let Some(failure) = &used.failed {
            return Ok(Ranker::broken(label, failure.clone()));
        }
        let Some(digest) = used.digest.clone() else {
            return Ok(Ranker::built_in());
        };
        self.plugin_ready(&digest).await?;
        let (plugins, config) = (Arc::clone(self.plugins()), used.config.clone());
        let made = tokio::task::spawn_blocking(move || plugins.policy_aside(&digest, &config)).await;
        let made = made.map_err(|_| crashed())?;
        made.map(|policy| Ranker::of(label, policy))
            .map_err(refused_config)
    }
}

fn crashed() -> ServiceError {
    ServiceError::Unavailable {
        problem: "the policy could not be tried".into(),
        retry_after_s: crate::error::SOON_S,
    }
}

fn label_of(used: &PolicyUsed) -> PolicyLabel {
    PolicyLabel {
        policy: used.policy,
        name: used.name.clone(),
        digest: used.digest.clone(),
        generation: used.generation,
        config: used.config.clone(),
        fallback: used.fallback.unwrap_or(Fallback::BuiltIn),
    }
}

fn not_kept(error: NotKept, decision: &Decision) -> ServiceError {
    match error {
        NotKept::Store(error) => ServiceError::from_store("read the zone's history", error),
        error => ServiceError::InvalidState {
            what: "decision",
            id: decision.id.uuid(),
            problem: error.to_string(),
        },
    }
}
