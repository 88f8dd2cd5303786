//! `GET /v1/decisions/{id}/candidates`: what was said of every compute host.

use std::sync::Arc;

use velum_model::{
    ComputeHostId, DecisionId,
    page::{Page, Paged},
    tenancy::Caller,
};
use velum_placement::{AskRecord, Candidate, Says, look};

use super::{Looked, crashed};
use crate::{error::ServiceError, services::Services, write::administer};

impl Services {
    /// What a decision said of every compute host of the zone, over the inventory of then: those with a score first, best
    /// first. `refused` leaves those that were refused, or those that were not.
    ///
    /// # Errors
    /// It does not exist, or what it needs is not kept any more: the inventory of then, the policy that decided. The page is
    /// after a compute host that it did not see.
    pub async fn decision_candidates(
        &self,
        caller: &Caller,
        id: DecisionId,
        refused: Option<bool>,
        page: Page,
    ) -> Result<Paged<Candidate>, ServiceError> {
        administer(caller, "decision")?;
        let looked = match self.looks().get(id) {
            Some(looked) => looked,
            None => self.look_at(caller, id).await?,
        };
        let wanted = |candidate: &&Candidate| {
            let is_refused = matches!(candidate.says, Says::Refused(_));
            refused.is_none_or(|wanted| wanted == is_refused)
        };
        let is_last = |candidate: &Candidate| Some(candidate.compute_host.uuid()) == page.after;
        let mut rest = looked.candidates.iter();
        // Up to and with the last one of the page before.
        if let Some(last) = page.after
            && !rest.by_ref().any(is_last)
        {
            return Err(ServiceError::not_found("candidate of this decision", last));
        }
        let limit = page.limit.clamp(1, Page::MAX_LIMIT);
        let items = rest.filter(wanted).take(limit as usize + 1).cloned().collect();
        Ok(Paged::cut(items, limit, |candidate: &Candidate| {
            let id: ComputeHostId = candidate.compute_host;
            id.uuid()
        }))
    }

    async fn look_at(&self, caller: &Caller, id: DecisionId) -> Result<Arc<Looked>, ServiceError> {
        let decision = self.decision_get(caller, id).await?;
        let record: AskRecord = super::replay::record_of(&decision)?;
        let _place = self.past_place().await;
        let inventory = self.inventory_of(&decision).await?;
        let mut hosts = self.ranker_then(id, &decision.policy).await?;
        let mut pools = self.ranker_then(id, &record.pool_policy).await?;
        let looked = tokio::task::spawn_blocking(move || {
            let rankers = (&mut hosts, &mut pools);
            look(&inventory, &record.ask, decision.seed, rankers).1
        });
        let looked = Arc::new(Looked {
            decision: id,
            candidates: looked.await.map_err(|_| crashed())?,
        });
        self.looks().put(Arc::clone(&looked));
        Ok(looked)
    }
}
