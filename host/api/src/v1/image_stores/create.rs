//! `POST /v1/image-stores`

use axum::extract::State;
use velum_model::infrastructure::ImageStore;
use velum_service::StoredAnswer;
use velum_wire::{CreateImageStoreBody, ImageStoreView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
};

/// Registers an image store.
#[utoipa::path(
    post,
    path = "/v1/image-stores",
    request_body = CreateImageStoreBody,
    responses((status = 201, body = ImageStoreView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreateImageStoreBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .image_store_create(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(image_store: &ImageStore) -> StoredAnswer {
    answer::created(
        format!("/v1/image-stores/{}", image_store.id),
        Some(image_store.generation),
        &view(image_store),
    )
}
