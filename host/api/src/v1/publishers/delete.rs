//! `DELETE /v1/publishers/{id}`

use axum::{extract::State, http::StatusCode};
use velum_model::PublisherKind;

use crate::{
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes a publisher, with its keys, of whom nothing was ever installed. The keys of others can be revoked.
#[utoipa::path(delete, path = "/v1/publishers/{id}", responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PublisherKind>,
    IfMatch(expected): IfMatch,
) -> Answered<StatusCode> {
    api.services.publisher_delete(&caller, path.id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
