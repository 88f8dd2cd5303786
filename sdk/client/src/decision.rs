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

    /// All of them.
    ///
    /// # Errors
    /// As [`Self::candidates`].
    pub async fn all_candidates(&self, id: Uuid) -> Result<Vec<CandidateView>, ClientError> {
        let mut all = Vec::new();
        let mut filter = Filter::new().with("limit", 500);
        loop {
            let page = self.candidates(id, &filter).await?;
            all.extend(page.items);
            match page.next_cursor {
                Some(cursor) => filter = Filter::new().with("limit", 500).with("cursor", cursor),
                None => return Ok(all),
            }
        }
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
