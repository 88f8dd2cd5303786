//! `DELETE /v1/policies/{id}`

use axum::{extract::State, http::StatusCode};
use velum_model::PolicyKind;

use crate::{
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes a policy that nothing uses.
#[utoipa::path(delete, path = "/v1/policies/{id}", responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PolicyKind>,
    IfMatch(expected): IfMatch,
) -> Answered<StatusCode> {
    api.services.policy_delete(&caller, path.id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
