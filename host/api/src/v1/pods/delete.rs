//! `DELETE /v1/pods/{id}`

use axum::{extract::State, http::StatusCode};
use velum_model::PodKind;

use crate::{
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes a pod that nothing uses.
#[utoipa::path(delete, path = "/v1/pods/{id}", responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PodKind>,
    IfMatch(expected): IfMatch,
) -> Answered<StatusCode> {
    api.services.pod_delete(&caller, path.id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
