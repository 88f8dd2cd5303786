//! `POST /v1/policies`

use axum::extract::State;
use velum_model::plugin::Policy;
use velum_service::StoredAnswer;
use velum_wire::{CreatePolicyBody, PolicyView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
};

/// Makes a policy.
#[utoipa::path(
    post,
    path = "/v1/policies",
    request_body = CreatePolicyBody,
    responses((status = 201, body = PolicyView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreatePolicyBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .policy_create(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(policy: &Policy) -> StoredAnswer {
    answer::created(
        format!("/v1/policies/{}", policy.id),
        Some(policy.generation),
        &view(policy),
    )
}
