//! `DELETE /v1/clusters/{id}`

use axum::{extract::State, http::StatusCode};
use velum_model::ClusterKind;

use crate::{
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes a cluster that nothing uses.
#[utoipa::path(delete, path = "/v1/clusters/{id}", responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<ClusterKind>,
    IfMatch(expected): IfMatch,
) -> Answered<StatusCode> {
    api.services.cluster_delete(&caller, path.id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
