//! `POST`, `GET` and `DELETE /v1/policies/{id}/shadow`, `POST /v1/policies/{id}/promote`

use axum::{extract::State, http::StatusCode};
use velum_model::{PolicyKind, plugin::PolicyShadow, shadow::ShadowCounts};
use velum_service::StoredAnswer;
use velum_wire::{PolicyView, ShadowPolicyBody, ShadowView};

use super::{convert, view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, NoBody, PathId, Posted},
};

/// Begins a shadow: a component that sees what the policy is asked from now on, and whose answers are counted and not used.
#[utoipa::path(
    post,
    path = "/v1/policies/{id}/shadow",
    request_body = ShadowPolicyBody,
    responses((status = 201, body = ShadowView, description = "It began"))
)]
pub async fn shadow_begin(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PolicyKind>,
    Posted { body, ticket }: Posted<ShadowPolicyBody>,
) -> Answered<Answer> {
    let new = convert::shadow(body)?;
    let begun = api
        .services
        .policy_shadow_begin(&caller, path.id, new, ticket.keyed(&caller, begun))
        .await?;
    Ok(Answer::of(begun, self::begun))
}

fn begun(shadow: &PolicyShadow) -> StoredAnswer {
    let location = format!("/v1/policies/{}/shadow", shadow.policy);
    answer::created(location, None, &view::shadow(shadow, &ShadowCounts::default()))
}

/// Shows the shadow of a policy, and what was seen of it: on the server that answers up to now, on others up to a few
/// seconds ago.
#[utoipa::path(
    get,
    path = "/v1/policies/{id}/shadow",
    responses((status = 200, body = ShadowView, description = "As it is"))
)]
pub async fn shadow_get(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PolicyKind>,
) -> Answered<Answer> {
    let report = api.services.policy_shadow(&caller, path.id).await?;
    Ok(answer::plain(&view::shadow(&report.shadow, &report.counts)))
}

/// Ends the shadow of a policy; what was counted goes with it.
#[utoipa::path(
    delete,
    path = "/v1/policies/{id}/shadow",
    responses((status = 204, description = "It ended"))
)]
pub async fn shadow_end(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PolicyKind>,
) -> Answered<StatusCode> {
    api.services.policy_shadow_end(&caller, path.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes the shadow the policy: the next ask is decided by it. What the policy was stays in its history.
#[utoipa::path(
    post,
    path = "/v1/policies/{id}/promote",
    responses((status = 200, body = PolicyView, description = "As it is now"))
)]
pub async fn promote(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PolicyKind>,
    IfMatch(expected): IfMatch,
    NoBody(ticket): NoBody,
) -> Answered<Answer> {
    let keyed = ticket.keyed(&caller, view::changed);
    let promoted = api
        .services
        .policy_promote(&caller, path.id, expected, keyed)
        .await?;
    Ok(Answer::of(promoted, view::changed))
}
