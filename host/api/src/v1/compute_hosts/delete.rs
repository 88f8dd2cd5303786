//! `DELETE /v1/compute-hosts/{id}`

use axum::{extract::State, http::StatusCode};
use velum_model::ComputeHostKind;

use crate::{
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes a compute host that nothing uses.
#[utoipa::path(delete, path = "/v1/compute-hosts/{id}", responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<ComputeHostKind>,
    IfMatch(expected): IfMatch,
) -> Answered<StatusCode> {
    api.services
        .compute_host_delete(&caller, path.id, expected)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
