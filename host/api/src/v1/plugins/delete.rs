//! `DELETE /v1/plugins/{id}`

use axum::{extract::State, http::StatusCode};
use velum_model::PluginKind;

use crate::{
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes a plugin that nothing uses.
#[utoipa::path(delete, path = "/v1/plugins/{id}", responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PluginKind>,
    IfMatch(expected): IfMatch,
) -> Answered<StatusCode> {
    api.services.plugin_delete(&caller, path.id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
