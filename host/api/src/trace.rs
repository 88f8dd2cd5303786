//! Around every request: a name for it, a span, its figures, and a net under panics.

use std::{any::Any, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::Instrument;

use crate::{error::Refused, problem::Kind, state::ApiState};

tokio::task_local! {
    static REQUEST_ID: String;
}

pub(crate) const HEADER: &str = "x-request-id";
/// Room for a UUID or what a proxy makes up.
const ID_MAX: usize = 64;

/// The name of the request that the present task works on.
pub(crate) fn request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

/// Names, traces and counts a request.
pub async fn observe(State(api): State<ApiState>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = given(request.headers()).unwrap_or_else(|| api.ids.uuid().to_string());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    let method = known(request.method());
    let span = tracing::info_span!("request", %id, method, route, status = tracing::field::Empty);
    let running = REQUEST_ID
        .scope(id.clone(), next.run(request))
        .instrument(span.clone());
    let mut response = running.await;
    let status = response.status().as_u16();
    span.record("status", status);
    let took = started.elapsed();
    span.in_scope(|| tracing::debug!(micros = took.as_micros() as u64, "answered"));
    let labels = [
        ("method", method.to_owned()),
        ("route", route),
        ("status", status.to_string()),
    ];
    metrics::counter!("velum_http_requests_total", &labels).increment(1);
    let [method, route, _] = labels;
    metrics::histogram!("velum_http_request_seconds", &[method, route]).record(took);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

/// The name that the caller or a proxy gave, if it can stand in a log.
fn given(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(HEADER)?.to_str().ok()?;
    let plain = id
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    (plain && (1..=ID_MAX).contains(&id.len())).then(|| id.to_owned())
}

/// A method as a label: callers must not be able to make up new ones.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    }
}

/// What a panic in a handler is answered with: nothing of its text, which is in the log.
pub fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let words = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(panic = %words, "a handler panicked");
    Refused::new(
        Kind::Internal,
        "the server's log has the cause under the request's id",
    )
    .into_response()
}
