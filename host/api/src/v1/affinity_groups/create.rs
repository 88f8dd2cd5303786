//! `POST /v1/affinity-groups`

use axum::extract::State;
use velum_model::affinity::AffinityGroup;
use velum_service::StoredAnswer;
use velum_wire::{AffinityGroupView, CreateAffinityGroupBody};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
};

/// Makes an affinity group.
#[utoipa::path(
    post,
    path = "/v1/affinity-groups",
    request_body = CreateAffinityGroupBody,
    responses((status = 201, body = AffinityGroupView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreateAffinityGroupBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .affinity_group_create(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(group: &AffinityGroup) -> StoredAnswer {
    answer::created(
        format!("/v1/affinity-groups/{}", group.id),
        Some(group.generation),
        &view(group),
    )
}
