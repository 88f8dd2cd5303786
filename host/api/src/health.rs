//! Whether the server lives, whether it can work, and its figures.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::{self, Answer},
    error::{Answered, Refused},
    problem::Kind,
    state::ApiState,
};

/// A good answer to a question of health.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct HealthView {
    /// Always `ok`; anything else is a problem.
    #[schema(example = "ok")]
    pub status: &'static str,
}

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = HealthView, description = "It lives")))]
pub async fn healthz() -> Answer {
    answer::plain(&HealthView { status: "ok" })
}

/// Whether requests can be served: the database answers and this server may write.
#[utoipa::path(get, path = "/readyz", responses((status = 200, body = HealthView, description = "It serves")))]
pub async fn readyz(State(api): State<ApiState>) -> Answered<Answer> {
    api.services.ready().await?;
    Ok(answer::plain(&HealthView { status: "ok" }))
}

/// The server's figures in the text format of Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, body = String, content_type = "text/plain", description = "The figures"))
)]
pub async fn metrics(State(api): State<ApiState>) -> Answered<Response> {
    let handle = api
        .metrics
        .as_ref()
        .ok_or_else(|| Refused::new(Kind::NotFound, "no figures are recorded"))?;
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, handle.render()).into_response())
}
