//! `DELETE /v1/compute-offerings/{id}`

use axum::{extract::State, http::StatusCode};
use velum_model::ComputeOfferingKind;

use crate::{
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes a compute offering that nothing uses.
#[utoipa::path(delete, path = "/v1/compute-offerings/{id}", responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<ComputeOfferingKind>,
    IfMatch(expected): IfMatch,
) -> Answered<StatusCode> {
    api.services
        .compute_offering_delete(&caller, path.id, expected)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
