//! Consoles: two WebSocket connections joined into one, byte for byte.

use std::sync::Arc;

use axum::{body::Body, extract::Request, http::StatusCode, response::Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::{error::Refused, problem::Kind, state::ApiState};

/// The caller's connection, if it wants to speak something else on it.
pub(super) fn taken(request: &mut Request) -> Option<OnUpgrade> {
    request.extensions_mut().remove::<OnUpgrade>()
}

/// The answer that both sides go on with, and the joining of their connections once it was sent.
pub(super) fn joined(api: &ApiState, caller: OnUpgrade, response: reqwest::Response) -> Response {
    use axum::response::IntoResponse as _;
    let Ok(place) = Arc::clone(&api.bounds.streams).try_acquire_owned() else {
        return Refused::new(Kind::TooMany, "too many consoles and streams")
            .retry_after(5)
            .into_response();
    };
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *answer.headers_mut() = response.headers().clone();
    let stop = api.stop.clone();
    tokio::spawn(async move {
        let _place = place;
        let (Ok(near), Ok(mut far)) = tokio::join!(caller, response.upgrade()) else {
            tracing::debug!("a console was given up before it began");
            return;
        };
        let mut near = TokioIo::new(near);
        tokio::select! {
            // Whoever ends it ends it for both.
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            () = stop.cancelled() => {}
        }
    });
    answer
}
