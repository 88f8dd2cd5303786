//! The way to the other servers.

use std::time::Duration;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use tokio::time::Instant;
use velum_model::ShardId;
use velum_service::Owner;

use super::{FORWARDED, NOT_OWNER, upgrade};
use crate::state::ApiState;

/// A server that is there takes a connection within a moment.
const CONNECT: Duration = Duration::from_secs(1);
/// The longest that a request works on its answer: asking a compute host what it is takes 20 s at most.
const ANSWER: Duration = Duration::from_secs(60);
/// How often it is looked whether the server that works on it still owns the shard.
const LOOK: Duration = Duration::from_millis(100);
/// What is between two servers alone and not passed on (RFC 9110, 7.6.1). The length is set again.
const HOP: [&str; 9] = [
    "connection",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "content-length",
    "keep-alive",
];

/// The way to the other servers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Peers {
    client: reqwest::Client,
}

/// What came of sending a request.
pub(super) enum Sent {
    /// An answer.
    Answered(Response),
    /// It was certainly not carried out.
    NotDone,
    /// It may have been carried out.
    Unknown,
}

impl Peers {
    /// No connection yet.
    ///
    /// # Errors
    /// The client cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .build()?;
        Ok(Self { client })
    }

    /// Sends a request to the server at `address` as long as that owns `shard`, and for a last word longer.
    pub(super) async fn send(
        &self,
        api: &ApiState,
        (address, shard): (&str, ShardId),
        mut request: Request,
        last_word: Duration,
    ) -> Sent {
        let upgrading = upgrade::taken(&mut request);
        let asking = self
            .client
            .execute(match self.copied(address, request, upgrading.is_some()) {
                Some(copy) => copy,
                None => return Sent::NotDone,
            });
        let answered = tokio::select! {
            answered = tokio::time::timeout(ANSWER, asking) => answered,
            () = lost(api, (address, shard), last_word) => return Sent::Unknown,
        };
        let response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                tracing::info!(address, %error, "a request did not reach the server that owns its zone");
                let is_unsent = error.is_connect() || error.is_builder();
                return if is_unsent { Sent::NotDone } else { Sent::Unknown };
            }
            Err(_) => return Sent::Unknown,
        };
        if response.headers().contains_key(NOT_OWNER) {
            return Sent::NotDone;
        }
        Sent::Answered(match upgrading {
            Some(upgrading) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                upgrade::joined(api, upgrading, response)
            }
            _ => back(response),
        })
    }

    /// The request for that server; none when its address is none.
    fn copied(&self, address: &str, request: Request, is_upgrade: bool) -> Option<reqwest::Request> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let url = format!("{}{path}", address.trim_end_matches('/')).parse().ok()?;
        let mut copy = reqwest::Request::new(parts.method, url);
        let mut headers = passed(&parts.headers);
        if is_upgrade {
            for name in [header::CONNECTION, header::UPGRADE] {
                headers.extend(parts.headers.get(&name).cloned().map(|value| (name, value)));
            }
        }
        // The request keeps its name, so that both logs have it.
        if let Some(id) = crate::trace::request_id().and_then(|id| HeaderValue::from_str(&id).ok()) {
            headers.insert(crate::trace::HEADER, id);
        }
        headers.insert(FORWARDED, HeaderValue::from_static("true"));
        *copy.headers_mut() = headers;
        let length = parts.headers.get(header::CONTENT_LENGTH);
        if let Some(length) = length.filter(|_| !is_upgrade) {
            copy.headers_mut().insert(header::CONTENT_LENGTH, length.clone());
        }
        if !is_upgrade {
            *copy.body_mut() = Some(reqwest::Body::wrap_stream(body.into_data_stream()));
        }
        Some(copy)
    }
}

/// Returns when the server has lost the shard and had time for a last word.
async fn lost(api: &ApiState, (address, shard): (&str, ShardId), last_word: Duration) {
    let mut since = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let is_owner = matches!(api.services.owner(shard), Owner::At(owner) if owner == address);
        since = (!is_owner).then(|| since.unwrap_or_else(Instant::now));
        if since.is_some_and(|since| since.elapsed() >= last_word) {
            return;
        }
    }
}

/// Headers but those of the one connection.
fn passed(headers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if !HOP.contains(&name.as_str()) {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

/// The answer on its way back, as it comes.
fn back(response: reqwest::Response) -> Response {
    let (status, headers) = (response.status(), passed(response.headers()));
    let mut answer = Response::new(Body::from_stream(response.bytes_stream()));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}
