//! `GET /v1/compute-hosts/{id}`

use axum::extract::State;
use velum_model::ComputeHostKind;
use velum_wire::ComputeHostView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a compute host.
#[utoipa::path(get, path = "/v1/compute-hosts/{id}", responses((status = 200, body = ComputeHostView, description = "As it is")))]
pub async fn get(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<ComputeHostKind>,
) -> Answered<Answer> {
    let compute_host = api.services.compute_host_get(&caller, path.id).await?;
    Ok(answer::tagged(compute_host.generation, &view(&compute_host)))
}
