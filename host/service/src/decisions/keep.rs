//! Asks that found no place are kept with their reasons, as those are that did.

use velum_model::{
    ShardId, ZoneId,
    decision::{Decision, REFUSALS_LISTED},
};
use velum_store::Commit;

use crate::{planner::NoPlan, services::Services};

impl Services {
    /// Keeps the decision of an ask that found no place.
    pub(crate) async fn keep_refusal(&self, shard: ShardId, none: &NoPlan) {
        if let NoPlan::NoCapacity(decision) = none {
            self.keep_refusals(shard, [decision.as_ref()]).await;
        }
    }

    /// The same where the zone's shard is not at hand.
    pub(crate) async fn keep_refusal_in(&self, zone: ZoneId, none: &NoPlan) {
        if let Ok(Some(zone)) = self.read().zone(zone).await {
            self.keep_refusal(zone.shard, none).await;
        }
    }

    /// Keeps the decisions of asks that found no place, of one zone; at most a batch. That it cannot be is no reason to answer
    /// otherwise: whoever asked is told them at once.
    pub(crate) async fn keep_refusals<'a>(
        &self,
        shard: ShardId,
        refused: impl IntoIterator<Item = &'a Decision>,
    ) {
        let Ok(fence) = self.fence(shard) else { return };
        let commits: Vec<Commit> = refused
            .into_iter()
            .map(|decision| Commit {
                fence: Some(fence),
                decision: Some(Box::new(as_stored(decision))),
                ..Commit::default()
            })
            .collect();
        if commits.is_empty() {
            return;
        }
        if let Err(error) = self.store().commit_together(commits).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "could not keep why asks found no place"
            );
        }
    }
}

/// Of a large zone the refusals are counted and not listed.
fn as_stored(decision: &Decision) -> Decision {
    let mut stored = decision.clone();
    if decision.considered as usize > REFUSALS_LISTED {
        stored.refusals.clear();
    }
    stored
}
