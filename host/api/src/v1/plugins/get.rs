//! `GET /v1/plugins/{id}`

use axum::extract::State;
use velum_model::PluginKind;
use velum_wire::PluginView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a plugin.
#[utoipa::path(get, path = "/v1/plugins/{id}", responses((status = 200, body = PluginView, description = "As it is")))]
pub async fn get(State(api): State<ApiState>, By(caller): By, path: PathId<PluginKind>) -> Answered<Answer> {
    let detail = api.services.plugin_detail(&caller, path.id).await?;
    Ok(answer::plain(&view(&detail)))
}
