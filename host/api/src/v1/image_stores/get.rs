//! `GET /v1/image-stores/{id}`

use axum::extract::State;
use velum_model::ImageStoreKind;
use velum_wire::ImageStoreView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows an image store.
#[utoipa::path(get, path = "/v1/image-stores/{id}", responses((status = 200, body = ImageStoreView, description = "As it is")))]
pub async fn get(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<ImageStoreKind>,
) -> Answered<Answer> {
    let image_store = api.services.image_store_get(&caller, path.id).await?;
    Ok(answer::tagged(image_store.generation, &view(&image_store)))
}
