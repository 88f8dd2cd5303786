//! `GET /v1/instances/{id}/console-log`

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use velum_model::InstanceKind;

use crate::{auth::By, error::Answered, state::ApiState, take::PathId};

/// Shows what the serial console wrote last, as text.
#[utoipa::path(
    get,
    path = "/v1/instances/{id}/console-log",
    responses((status = 200, body = String, content_type = "text/plain", description = "The end of the log"))
)]
pub async fn console_log(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<InstanceKind>,
) -> Answered<Response> {
    let log = api.services.instance_console_log(&caller, path.id).await?;
    let text = String::from_utf8_lossy(&log).into_owned();
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}
