//! `PATCH /v1/compute-hosts/{id}`

use axum::extract::State;
use velum_model::ComputeHostKind;
use velum_wire::{ComputeHostView, UpdateComputeHostBody};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Body, IfMatch, PathId},
};

/// Changes a compute host: what the body does not name stays.
#[utoipa::path(
    patch,
    path = "/v1/compute-hosts/{id}",
    request_body = UpdateComputeHostBody,
    responses((status = 200, body = ComputeHostView, description = "As it is now"))
)]
pub async fn update(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<ComputeHostKind>,
    IfMatch(expected): IfMatch,
    Body(body): Body<UpdateComputeHostBody>,
) -> Answered<Answer> {
    let compute_host = api
        .services
        .compute_host_change(&caller, path.id, expected, convert::change(body)?)
        .await?;
    Ok(answer::tagged(compute_host.generation, &view(&compute_host)))
}
