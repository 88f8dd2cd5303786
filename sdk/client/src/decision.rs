//! Decisions looked at again.

use uuid::Uuid;
use velum_wire::{CandidateView, Page, ReplayDecisionBody, ReplayView};

use crate::{Client, ClientError, Collection, Decisions, Filter, http::Ask};

impl Collection<'_, Decisions> {
    /// A page of the compute hosts as a decision saw them, best first; `filter` may have `refused`, `limit` and `cursor`.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when the inventory of then is not kept any more.
    pub async fn candidates(&self, id: Uuid, filter: &Filter) -> Result<Page<CandidateView>, ClientError> {
        let ask = Ask::get(format!("{}/candidates", Self::path_of(id))).filter(filter);
        self.client().send(&ask).await?.json()
    }

    /// The first `most` of them, and whether there are more; `filter` may have `refused`.
    ///
    /// # Errors
    /// As [`Self::candidates`].
    pub async fn first_candidates(
        &self,
        id: Uuid,
        filter: &Filter,
        most: usize,
    ) -> Result<(Vec<CandidateView>, bool), ClientError> {
        let page = |limit: u32, cursor: Option<String>| async move {
            let filter = filter.clone().with("limit", limit);
            self.candidates(id, &filter.with_some("cursor", cursor)).await
        };
        crate::collection::first(page, most).await
    }

    /// All of them.
    ///
    /// # Errors
    /// As [`Self::candidates`].
    pub async fn all_candidates(&self, id: Uuid) -> Result<Vec<CandidateView>, ClientError> {
        let all = self.first_candidates(id, &Filter::new(), usize::MAX).await?;
        Ok(all.0)
    }

    /// Makes a decision once more, by the policy of then or by another.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when what it needs is not kept any more.
    pub async fn replay(&self, id: Uuid, body: &ReplayDecisionBody) -> Result<ReplayView, ClientError> {
        let ask = Ask::post(format!("{}/replay", Self::path_of(id)), Client::new_key()).json(body)?;
        self.client().send(&ask).await?.json()
    }
}
