//! Any server takes any request. What changes something that a shard owns, and what talks to a compute host, goes on to the
//! server that owns the shard, word for word, and its answer comes back. Reads are answered from the database by whoever is
//! asked.
//!
//! ```text
//! request ─▶ authenticated ─▶ which shard? ──owned here──▶ handler ──lost it just now──┐
//!                              ▲       └───elsewhere──▶ that server (one hop)          │
//!                              └── not its owner either, not reached: a moment later ◀─┘   5 s at most, then 503
//! ```
//! A request is sent again only if it has certainly not been carried out, or if repeating it is the same as sending it once.

mod about;
mod peers;
mod upgrade;

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::Instant;
use velum_model::ShardId;
use velum_service::{LEASE_S, Owner};

pub use peers::Peers;

use self::{about::About, peers::Sent};
use crate::{error::Refused, problem::Kind, state::ApiState};

/// How long an owner is looked for: a zone is without one for less, when a server was lost.
const LOOK_FOR_OWNER: Duration = Duration::from_secs(5);
/// Between two looks: owners are known anew some times a second.
const AGAIN: Duration = Duration::from_millis(100);
/// How long a server that has lost the shard may still take, where its answer cannot be had again: what it committed before
/// is on its way back.
const LAST_WORD: Duration = Duration::from_secs(1);
/// Says that a request has come from another server: it goes no further.
const FORWARDED: &str = "velum-forwarded";
/// Says that nothing was done, for the answering server does not own the shard.
const NOT_OWNER: &str = "velum-not-owner";

/// Marks an answer: nothing was done, since the shard is not owned here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotOwner;

/// What a request carries.
enum Payload {
    /// All of it: it can be sent again.
    Whole(Bytes),
    /// A large body on its way: it can be sent once.
    Passing(Body),
}

/// A request in pieces.
struct Asked {
    parts: Parts,
    payload: Payload,
    shard: ShardId,
    is_forwarded: bool,
}

/// Carries a request to the server that owns what it is about.
pub(crate) async fn to_owner(State(api): State<ApiState>, request: Request, next: Next) -> Response {
    let Some(peers) = api.peers.clone() else {
        return next.run(request).await;
    };
    let Some(about) = About::of(&request) else {
        return next.run(request).await;
    };
    let (parts, body) = request.into_parts();
    let payload = match about.takes_large_body() {
        true => Payload::Passing(body),
        false => match crate::take::whole(body, &parts).await {
            Ok(bytes) => Payload::Whole(bytes),
            Err(refused) => return refused.into_response(),
        },
    };
    let shard = match &payload {
        Payload::Whole(bytes) => about.shard(&api.services, bytes).await,
        Payload::Passing(_) => about.shard(&api.services, &[]).await,
    };
    let shard = match shard {
        Ok(Some(shard)) => shard,
        // It is about nothing that there is: the handler says so.
        Ok(None) => return next.run(whole(parts, payload)).await,
        Err(error) => return Refused::from(error).into_response(),
    };
    let is_forwarded = parts.headers.contains_key(FORWARDED);
    let asked = Asked {
        parts,
        payload,
        shard,
        is_forwarded,
    };
    asked.carry(&api, &peers, next).await
}

fn whole(parts: Parts, payload: Payload) -> Request {
    let body = match payload {
        Payload::Whole(bytes) => Body::from(bytes),
        Payload::Passing(body) => body,
    };
    Request::from_parts(parts, body)
}

impl Asked {
    async fn carry(mut self, api: &ApiState, peers: &Peers, next: Next) -> Response {
        let deadline = Instant::now() + LOOK_FOR_OWNER;
        let mut why = "no server owns the zone now";
        loop {
            match api.services.owner(self.shard) {
                Owner::Here(_) => {
                    let Some(request) = self.take() else {
                        return unavailable("the zone went to another server during the upload");
                    };
                    let response = next.clone().run(request).await;
                    if response.extensions().get::<NotOwner>().is_none() {
                        return response;
                    }
                    why = "the zone is just going to another server";
                }
                Owner::At(address) if !self.is_forwarded => {
                    let is_repeatable = self.is_repeatable();
                    let Some(request) = self.take() else {
                        return unavailable("the zone went to another server during the upload");
                    };
                    let last_word = if is_repeatable { Duration::ZERO } else { LAST_WORD };
                    match peers.send(api, (&address, self.shard), request, last_word).await {
                        Sent::Answered(response) => return response,
                        Sent::NotDone => why = "the server that owned the zone does not answer",
                        Sent::Unknown if is_repeatable => {
                            why = "the server that owned the zone was lost, and no other has it yet";
                        }
                        Sent::Unknown => return unknown(),
                    }
                }
                Owner::At(_) | Owner::Nobody => {}
            }
            if self.is_forwarded {
                return not_owner();
            }
            if Instant::now() >= deadline {
                return unavailable(why);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// The request once more; none when its body has passed already.
    fn take(&mut self) -> Option<Request> {
        let body = match &mut self.payload {
            Payload::Whole(bytes) => Body::from(bytes.clone()),
            Payload::Passing(body) => {
                let body = std::mem::replace(body, Body::empty());
                if self.parts.extensions.insert(Passed).is_some() {
                    return None;
                }
                body
            }
        };
        Some(Request::from_parts(self.parts.clone(), body))
    }

    /// Whether to send it twice is to send it once: what has an idempotency key, and what only looks.
    fn is_repeatable(&self) -> bool {
        let is_whole = matches!(self.payload, Payload::Whole(_));
        let looks = self.parts.method == Method::GET;
        is_whole && (looks || self.parts.headers.contains_key("idempotency-key"))
    }
}

/// A body that can pass only once has passed.
#[derive(Clone, Copy, Debug)]
struct Passed;

fn unavailable(why: &str) -> Response {
    Refused::new(Kind::Unavailable, format!("{why}; try again"))
        .retry_after(LEASE_S)
        .into_response()
}

/// The owner was lost while it worked on it.
fn unknown() -> Response {
    let detail = "the server that owns the zone was lost while it worked on this, and whether it was accepted is not \
                  known: look, or send it with an Idempotency-Key, which makes it safe to repeat";
    Refused::new(Kind::Unavailable, detail)
        .retry_after(LEASE_S)
        .into_response()
}

/// For the server that sent it here.
fn not_owner() -> Response {
    let mut response = unavailable("this server does not own the zone");
    response
        .headers_mut()
        .insert(NOT_OWNER, HeaderValue::from_static("true"));
    response
}
