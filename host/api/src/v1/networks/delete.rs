//! `DELETE /v1/networks/{id}`

use axum::{extract::State, http::StatusCode};
use velum_model::NetworkKind;

use crate::{
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes a network that nothing uses.
#[utoipa::path(delete, path = "/v1/networks/{id}", responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<NetworkKind>,
    IfMatch(expected): IfMatch,
) -> Answered<StatusCode> {
    api.services.network_delete(&caller, path.id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
