//! `POST /v1/decisions/{id}/replay`: a decision made once more, by the policy of then or by another.

use velum_model::{
    DecisionId,
    decision::{Decision, PolicyUsed},
    tenancy::Caller,
};
use velum_placement::{AskRecord, Difference, Inventory, Outcome, Ranker, Says, choose, look, replay};

use super::{OtherPolicy, Replayed, crashed};
use crate::{error::ServiceError, services::Services, write::administer};

impl Services {
    /// Makes a decision once more over the inventory of then. By the policy of then it must come out bit for bit the same;
    /// another policy may put the instance elsewhere. Changes nothing.
    ///
    /// # Errors
    /// It does not exist, what it needs is not kept any more, or the policy is not installed or refuses its configuration.
    pub async fn decision_replay(
        &self,
        caller: &Caller,
        id: DecisionId,
        other: OtherPolicy,
    ) -> Result<Replayed, ServiceError> {
        administer(caller, "decision")?;
        let decision = self.decision_get(caller, id).await?;
        let record = record_of(&decision)?;
        let is_own = other == OtherPolicy::default();
        let policy = self.policy_instead(&decision.policy, other).await?;
        let _place = self.past_place().await;
        let inventory = self.inventory_of(&decision).await?;
        let hosts = self.ranker_then(id, &policy).await?;
        let pools = self.ranker_then(id, &record.pool_policy).await?;
        let again = move || match is_own {
            true => the_same(&inventory, decision, &record, (hosts, pools)),
            false => another(&inventory, decision, &record, (hosts, pools)),
        };
        tokio::task::spawn_blocking(again).await.map_err(|_| crashed())?
    }

    /// Who is to decide: the policy of then where nothing else is said.
    async fn policy_instead(
        &self,
        used: &PolicyUsed,
        other: OtherPolicy,
    ) -> Result<PolicyUsed, ServiceError> {
        if other == OtherPolicy::default() {
            return Ok(used.clone());
        }
        let config = other.config.map(crate::compute_hosts::object);
        let (digest, config) = match (other.plugin, &used.digest) {
            (Some(choice), own) => {
                let digest = self.policy_plugin(&choice).await?;
                // The configuration of the policy of then is meant for its own component.
                let of_then = own
                    .as_ref()
                    .filter(|own| **own == digest)
                    .map(|_| used.config.clone());
                (
                    digest,
                    config
                        .or(of_then)
                        .unwrap_or_else(|| crate::compute_hosts::object(serde_json::Value::Null)),
                )
            }
            (None, Some(own)) => (own.clone(), config.unwrap_or_else(|| used.config.clone())),
            (None, None) => {
                return Err(ServiceError::invalid(
                    "/config",
                    "the built-in policy decided, which has no configuration",
                    "name a plugin too",
                ));
            }
        };
        self.check_policy(&digest, &config).await?;
        Ok(self.named(digest, config))
    }

    /// A component with a configuration as a policy that has no row.
    pub(super) fn named(&self, digest: velum_model::plugin::Digest, config: serde_json::Value) -> PolicyUsed {
        PolicyUsed {
            policy: None,
            name: digest.to_string(),
            digest: Some(digest),
            generation: 0,
            config,
            failed: None,
            fallback: None,
        }
    }
}

/// What was asked.
pub(super) fn record_of(decision: &Decision) -> Result<AskRecord, ServiceError> {
    serde_json::from_value(decision.ask.clone())
        .map_err(|error| not_comparable(decision, &Difference::Ask(error)))
}

fn not_comparable(decision: &Decision, difference: &Difference) -> ServiceError {
    ServiceError::InvalidState {
        what: "decision",
        id: decision.id.uuid(),
        problem: format!("{difference}: it cannot be made once more by this version"),
    }
}

fn the_same(
    inventory: &Inventory,
    decision: Decision,
    record: &AskRecord,
    (mut hosts, mut pools): (Ranker, Ranker),
) -> Result<Replayed, ServiceError> {
    let policy = hosts.used();
    let (outcome, is_same) = match replay(inventory, &decision, &mut hosts, &mut pools) {
        Ok(outcome) => (outcome, true),
        Err(Difference::Outcome(outcome)) => (*outcome, false),
        Err(difference) => return Err(not_comparable(&decision, &difference)),
    };
    let ties = ties(
        inventory,
        record,
        decision.seed,
        &outcome,
        (&mut hosts, &mut pools),
    );
    Ok(Replayed {
        decision,
        policy,
        outcome,
        is_same,
        ties,
    })
}

fn another(
    inventory: &Inventory,
    decision: Decision,
    record: &AskRecord,
    (mut hosts, mut pools): (Ranker, Ranker),
) -> Result<Replayed, ServiceError> {
    let outcome = choose(inventory, &record.ask, decision.seed, &mut hosts, &mut pools);
    let there = outcome.winner.map(|winner| winner.compute_host);
    let pools_there: Vec<_> = outcome
        .choice
        .iter()
        .flat_map(|choice| &choice.pools)
        .map(|choice| choice.pool)
        .collect();
    let is_same = there == decision.winner.map(|winner| winner.compute_host) && pools_there == decision.pools;
    let ties = ties(
        inventory,
        record,
        decision.seed,
        &outcome,
        (&mut hosts, &mut pools),
    );
    Ok(Replayed {
        policy: outcome.policy.clone(),
        decision,
        outcome,
        is_same,
        ties,
    })
}

/// How many have the winner's score.
fn ties(
    inventory: &Inventory,
    record: &AskRecord,
    seed: u64,
    outcome: &Outcome,
    rankers: (&mut Ranker, &mut Ranker),
) -> u32 {
    let Some(winner) = outcome.winner else { return 0 };
    // The runners-up tell unless all of them are equal.
    let others = outcome
        .runners_up
        .iter()
        .filter(|other| other.score == winner.score);
    let known = others.count();
    if known < outcome.runners_up.len() || known < velum_model::decision::RUNNERS_UP {
        return known as u32 + 1;
    }
    let (_, candidates) = look(inventory, &record.ask, seed, rankers);
    let equal = candidates
        .iter()
        .filter(|candidate| candidate.says == Says::Score(winner.score));
    equal.count() as u32
}
