//! `DELETE /v1/ip-ranges/{id}`

use axum::{extract::State, http::StatusCode};
use velum_model::IpRangeKind;

use crate::{
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes a range of addresses that nothing uses.
#[utoipa::path(delete, path = "/v1/ip-ranges/{id}", responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<IpRangeKind>,
    IfMatch(expected): IfMatch,
) -> Answered<StatusCode> {
    api.services.ip_range_delete(&caller, path.id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
