//! `GET /v1/plugins/{id}/stats`

use axum::extract::State;
use velum_model::PluginKind;
use velum_wire::PluginStatsView;

use super::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows what a plugin did on the server that answers since that started. `/metrics` has the same for all plugins.
#[utoipa::path(
    get,
    path = "/v1/plugins/{id}/stats",
    responses((status = 200, body = PluginStatsView, description = "What it did"))
)]
pub async fn stats(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PluginKind>,
) -> Answered<Answer> {
    let (plugin, stats) = api.services.plugin_stats_of(&caller, path.id).await?;
    Ok(answer::plain(&view::stats(&plugin, stats)))
}
