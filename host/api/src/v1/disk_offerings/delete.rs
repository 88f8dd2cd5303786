//! `DELETE /v1/disk-offerings/{id}`

use axum::{extract::State, http::StatusCode};
use velum_model::DiskOfferingKind;

use crate::{
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes a disk offering that nothing uses.
#[utoipa::path(delete, path = "/v1/disk-offerings/{id}", responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<DiskOfferingKind>,
    IfMatch(expected): IfMatch,
) -> Answered<StatusCode> {
    api.services
        .disk_offering_delete(&caller, path.id, expected)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
