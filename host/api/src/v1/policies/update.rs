//! `PATCH /v1/policies/{id}`

use axum::extract::State;
use velum_model::PolicyKind;
use velum_wire::{PolicyView, UpdatePolicyBody};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Body, IfMatch, PathId},
};

/// Changes a policy: what the body does not name stays.
#[utoipa::path(
    patch,
    path = "/v1/policies/{id}",
    request_body = UpdatePolicyBody,
    responses((status = 200, body = PolicyView, description = "As it is now"))
)]
pub async fn update(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PolicyKind>,
    IfMatch(expected): IfMatch,
    Body(body): Body<UpdatePolicyBody>,
) -> Answered<Answer> {
    let policy = api
        .services
        .policy_change(&caller, path.id, expected, convert::change(body)?)
        .await?;
    Ok(answer::tagged(policy.generation, &view(&policy)))
}
