//! Shadows and versions of policies.

use uuid::Uuid;
use velum_wire::{
    EvaluatePolicyBody, EvaluationView, Page, PolicyVersionView, PolicyView, RollbackPolicyBody,
    ShadowPolicyBody, ShadowView,
};

use crate::{Answered, Client, ClientError, Collection, Policies, http::Ask};

impl Collection<'_, Policies> {
    /// Begins a shadow: a component that sees what the policy is asked, and whose answers are counted and not used.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when the policy has one, or the component does not fit.
    pub async fn begin_shadow(&self, id: Uuid, body: &ShadowPolicyBody) -> Result<ShadowView, ClientError> {
        let ask = Ask::post(Self::shadow_of(id), Client::new_key()).json(body)?;
        self.client().send(&ask).await?.json()
    }

    /// The shadow of a policy, and what was seen of it.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when it has none.
    pub async fn shadow(&self, id: Uuid) -> Result<ShadowView, ClientError> {
        self.client().send(&Ask::get(Self::shadow_of(id))).await?.json()
    }

    /// Ends the shadow of a policy.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when it has none.
    pub async fn end_shadow(&self, id: Uuid) -> Result<(), ClientError> {
        self.client()
            .send(&Ask::delete(Self::shadow_of(id)))
            .await
            .map(drop)
    }

    /// Makes the shadow the policy; with an `etag` only if nobody changed that since.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when it has no shadow.
    pub async fn promote(&self, id: Uuid, etag: Option<&str>) -> Result<Answered<PolicyView>, ClientError> {
        let ask = Ask::post(format!("{}/promote", Self::path_of(id)), Client::new_key()).if_match(etag);
        self.answered(&self.client().send(&ask).await?)
    }

    /// Puts an earlier version of a policy back; with an `etag` only if nobody changed it since.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when there is no such version, or its component is gone.
    pub async fn rollback(
        &self,
        id: Uuid,
        body: &RollbackPolicyBody,
        etag: Option<&str>,
    ) -> Result<Answered<PolicyView>, ClientError> {
        let ask = Ask::post(format!("{}/rollback", Self::path_of(id)), Client::new_key())
            .if_match(etag)
            .json(body)?;
        self.answered(&self.client().send(&ask).await?)
    }

    /// The generations of a policy that are remembered, newest first.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn versions(&self, id: Uuid) -> Result<Vec<PolicyVersionView>, ClientError> {
        let ask = Ask::get(format!("{}/versions", Self::path_of(id)));
        let page: Page<PolicyVersionView> = self.client().send(&ask).await?.json()?;
        Ok(page.items)
    }

    /// Gives the latest decisions of a zone to a component: what would have come of them.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when nothing of the zone's history is kept.
    pub async fn evaluate(&self, body: &EvaluatePolicyBody) -> Result<EvaluationView, ClientError> {
        let ask = Ask::post(format!("{}:evaluate", Self::path()), Client::new_key()).json(body)?;
        self.client().send(&ask).await?.json()
    }

    fn shadow_of(id: Uuid) -> String {
        format!("{}/shadow", Self::path_of(id))
    }
}
