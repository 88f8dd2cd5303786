//! `POST /v1/compute-hosts`

use axum::extract::State;
use velum_model::infrastructure::ComputeHost;
use velum_service::StoredAnswer;
use velum_wire::{ComputeHostView, CreateComputeHostBody};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
};

/// Registers a compute host.
#[utoipa::path(
    post,
    path = "/v1/compute-hosts",
    request_body = CreateComputeHostBody,
    responses((status = 201, body = ComputeHostView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreateComputeHostBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .compute_host_create(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(compute_host: &ComputeHost) -> StoredAnswer {
    answer::created(
        format!("/v1/compute-hosts/{}", compute_host.id),
        Some(compute_host.generation),
        &view(compute_host),
    )
}
