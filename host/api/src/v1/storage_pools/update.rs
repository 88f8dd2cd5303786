//! `PATCH /v1/storage-pools/{id}`

use axum::extract::State;
use velum_model::StoragePoolKind;
use velum_wire::{StoragePoolView, UpdateStoragePoolBody};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Body, IfMatch, PathId},
};

/// Changes a storage pool: what the body does not name stays.
#[utoipa::path(
    patch,
    path = "/v1/storage-pools/{id}",
    request_body = UpdateStoragePoolBody,
    responses((status = 200, body = StoragePoolView, description = "As it is now"))
)]
pub async fn update(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<StoragePoolKind>,
    IfMatch(expected): IfMatch,
    Body(body): Body<UpdateStoragePoolBody>,
) -> Answered<Answer> {
    let storage_pool = api
        .services
        .storage_pool_change(&caller, path.id, expected, convert::change(body)?)
        .await?;
    Ok(answer::tagged(storage_pool.generation, &view(&storage_pool)))
}
