//! `DELETE /v1/affinity-groups/{id}`

use axum::{extract::State, http::StatusCode};
use velum_model::AffinityGroupKind;

use crate::{
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes an affinity group that no instance is in.
#[utoipa::path(delete, path = "/v1/affinity-groups/{id}", responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<AffinityGroupKind>,
    IfMatch(expected): IfMatch,
) -> Answered<StatusCode> {
    api.services
        .affinity_group_delete(&caller, path.id, expected)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
