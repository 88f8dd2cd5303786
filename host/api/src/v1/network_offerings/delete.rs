//! `DELETE /v1/network-offerings/{id}`

use axum::{extract::State, http::StatusCode};
use velum_model::NetworkOfferingKind;

use crate::{
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes a network offering that nothing uses.
#[utoipa::path(delete, path = "/v1/network-offerings/{id}", responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<NetworkOfferingKind>,
    IfMatch(expected): IfMatch,
) -> Answered<StatusCode> {
    api.services
        .network_offering_delete(&caller, path.id, expected)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
