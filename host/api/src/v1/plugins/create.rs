//! `POST /v1/plugins`

use axum::extract::{Request, State};
use velum_service::{PluginDetail, StoredAnswer};
use velum_wire::{InstallPluginBody, PluginView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::component,
};

/// Installs a plugin: whose word it is and what it asks for are decided, then it is checked, compiled, kept.
///
/// Send a bundle, or a component with the text of its `plugin.toml`, in JSON; or the component alone as
/// `application/wasm`. What nobody signed is refused unless the request names its digest or the server takes it. What asks
/// for something that nobody granted is refused with what it asks for. Installing the same bytes again answers the same
/// plugin.
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
    let (sent, ticket) = component(request, &api).await?;
    let new = convert::new(sent)?;
    let made = api
        .services
        .plugin_install(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(detail: &PluginDetail) -> StoredAnswer {
    let location = format!("/v1/plugins/{}", detail.plugin.id);
    answer::created(location, None, &view(detail))
}
