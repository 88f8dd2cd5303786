//! `GET /v1/storage-pools/{id}`

use axum::extract::State;
use velum_model::StoragePoolKind;
use velum_wire::StoragePoolView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a storage pool.
#[utoipa::path(get, path = "/v1/storage-pools/{id}", responses((status = 200, body = StoragePoolView, description = "As it is")))]
pub async fn get(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<StoragePoolKind>,
) -> Answered<Answer> {
    let storage_pool = api.services.storage_pool_get(&caller, path.id).await?;
    Ok(answer::tagged(storage_pool.generation, &view(&storage_pool)))
}
