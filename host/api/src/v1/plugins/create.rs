//! `POST /v1/plugins`

use axum::extract::{Request, State};
use velum_model::plugin::Plugin;
use velum_service::{NewPlugin, StoredAnswer};
use velum_wire::{InstallPluginBody, PluginView};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::component,
};

/// Installs a component: checked, compiled, kept.
///
/// Send the component alone as `application/wasm`, or in JSON together with the text of its `plugin.toml`. Installing
/// the same bytes again answers the same plugin.
#[utoipa::path(
    post,
    path = "/v1/plugins",
    request_body(content(
        (InstallPluginBody = "application/json"),
        (Vec<u8> = "application/wasm"),
    )),
    responses((status = 201, body = PluginView, description = "It is installed"))
)]
pub async fn create(State(api): State<ApiState>, By(caller): By, request: Request) -> Answered<Answer> {
    let (component, manifest, ticket) = component(request, &api).await?;
    let new = NewPlugin { component, manifest };
    let made = api
        .services
        .plugin_install(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(plugin: &Plugin) -> StoredAnswer {
    answer::created(format!("/v1/plugins/{}", plugin.id), None, &view(plugin))
}
