//! `POST /v1/storage-pools`

use axum::extract::State;
use velum_model::infrastructure::StoragePool;
use velum_service::StoredAnswer;
use velum_wire::{CreateStoragePoolBody, StoragePoolView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
};

/// Registers a storage pool.
#[utoipa::path(
    post,
    path = "/v1/storage-pools",
    request_body = CreateStoragePoolBody,
    responses((status = 201, body = StoragePoolView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreateStoragePoolBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .storage_pool_create(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(storage_pool: &StoragePool) -> StoredAnswer {
    answer::created(
        format!("/v1/storage-pools/{}", storage_pool.id),
        Some(storage_pool.generation),
        &view(storage_pool),
    )
}
