//! `GET /v1/policies/{id}/versions`, `POST /v1/policies/{id}/rollback`

use axum::extract::State;
use velum_model::{PolicyKind, page::Paged};
use velum_wire::{Page, PolicyVersionView, PolicyView, RollbackPolicyBody};

use super::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, MaybePosted, PathId},
};

/// Lists the generations of a policy that are remembered, newest first: the last hundred, all at once.
#[utoipa::path(
    get,
    path = "/v1/policies/{id}/versions",
    responses((status = 200, body = Page<PolicyVersionView>, description = "Its history"))
)]
pub async fn versions(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PolicyKind>,
) -> Answered<Answer> {
    let items = api.services.policy_versions(&caller, path.id).await?;
    Ok(answer::listed(Paged { items, next: None }, |item| {
        view::version(&item)
    }))
}

/// Puts an earlier version of a policy back, component and configuration, as a new generation.
#[utoipa::path(
    post,
    path = "/v1/policies/{id}/rollback",
    request_body = Option<RollbackPolicyBody>,
    responses((status = 200, body = PolicyView, description = "As it is now"))
)]
pub async fn rollback(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PolicyKind>,
    IfMatch(expected): IfMatch,
    MaybePosted { body, ticket }: MaybePosted<RollbackPolicyBody>,
) -> Answered<Answer> {
    let keyed = ticket.keyed(&caller, view::changed);
    let to = (body.generation, body.reason.unwrap_or_default());
    let rolled = api
        .services
        .policy_rollback(&caller, path.id, expected, to, keyed)
        .await?;
    Ok(Answer::of(rolled, view::changed))
}
