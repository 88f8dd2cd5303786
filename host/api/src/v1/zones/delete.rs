//! `DELETE /v1/zones/{id}`

use axum::{extract::State, http::StatusCode};
use velum_model::ZoneKind;

use crate::{
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes a zone that nothing uses.
#[utoipa::path(delete, path = "/v1/zones/{id}", responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<ZoneKind>,
    IfMatch(expected): IfMatch,
) -> Answered<StatusCode> {
    api.services.zone_delete(&caller, path.id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
