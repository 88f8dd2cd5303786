//! `DELETE /v1/storage-pools/{id}`

use axum::{extract::State, http::StatusCode};
use velum_model::StoragePoolKind;

use crate::{
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes a storage pool that nothing uses.
#[utoipa::path(delete, path = "/v1/storage-pools/{id}", responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<StoragePoolKind>,
    IfMatch(expected): IfMatch,
) -> Answered<StatusCode> {
    api.services
        .storage_pool_delete(&caller, path.id, expected)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
