//! `DELETE /v1/image-stores/{id}`

use axum::{extract::State, http::StatusCode};
use velum_model::ImageStoreKind;

use crate::{
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes an image store that nothing uses.
#[utoipa::path(delete, path = "/v1/image-stores/{id}", responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<ImageStoreKind>,
    IfMatch(expected): IfMatch,
) -> Answered<StatusCode> {
    api.services
        .image_store_delete(&caller, path.id, expected)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
