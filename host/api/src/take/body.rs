//! Bodies: JSON, components, pieces of an upload. Each has a bound and a time in which it must be here.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, Method, Uri, header, request::Parts},
};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;
use tokio::sync::SemaphorePermit;
use velum_wire::{FieldProblem, InstallPluginBody};

use super::headers::Ticket;
use super::plainly;
use crate::{
    error::{Answered, Refused},
    problem::Kind,
    state::ApiState,
};

/// The largest JSON body. The widest one, an instance with 64 KiB of user data in base64, stays under 100 KiB.
pub const JSON_MAX: usize = 1 << 20;
/// The largest JSON body with many of them: 256 instances with 20 KiB of user data each.
pub const MANY_MAX: usize = 8 << 20;
/// The largest piece of an upload: it lies in memory on its way to the image store.
pub const CHUNK_MAX: usize = 8 << 20;
/// The largest body with a component: Python's have 18 MB, a third more in base64.
pub const COMPONENT_MAX: usize = 32 << 20;
/// What is read and thrown away of a body that is too large, so that the answer arrives before the connection ends.
const DRAIN_MAX: usize = 32 << 20;
/// A body of 8 MiB over a line of 4 Mbit/s takes 17 seconds.
const BODY_TIME: Duration = Duration::from_secs(30);
/// How long a request waits for its turn to hold a large body in memory.
const TURN_TIME: Duration = Duration::from_secs(5);

/// A JSON body.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// A JSON body together with the idempotency key of its request.
#[derive(Debug)]
pub struct Posted<T> {
    /// The body.
    pub body: T,
    /// The key.
    pub ticket: Ticket,
}

/// A JSON body that may be left out, together with the idempotency key of its request.
#[derive(Debug)]
pub struct MaybePosted<T> {
    /// The body, or what it is without one.
    pub body: T,
    /// The key.
    pub ticket: Ticket,
}

/// No body, or an empty JSON object, but perhaps an idempotency key: the actions.
#[derive(Debug)]
pub struct NoBody(pub Ticket);

/// A body that says nothing. In braces, since `null` would be read as a unit struct.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// A piece of an upload.
#[derive(Debug)]
pub struct Chunk(pub Bytes);

impl<T: DeserializeOwned> FromRequest<ApiState> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Refused> {
        Posted::from_request(request, state)
            .await
            .map(|posted| Self(posted.body))
    }
}

impl<T: DeserializeOwned> FromRequest<ApiState> for Posted<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &ApiState) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            return Err(wrong_type("application/json"));
        }
        let bytes = whole(body, &parts).await?;
        let ticket = Ticket::new(&parts.method, &parts.uri, &parts.headers, &bytes)?;
        Ok(Self {
            body: json(&bytes)?,
            ticket,
        })
    }
}

impl<T: DeserializeOwned + Default> FromRequest<ApiState> for MaybePosted<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &ApiState) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let bytes = read(body, &parts.headers, JSON_MAX).await?;
        let ticket = Ticket::new(&parts.method, &parts.uri, &parts.headers, &bytes)?;
        if bytes.is_empty() || bytes.trim_ascii() == b"null" {
            return Ok(Self {
                body: T::default(),
                ticket,
            });
        }
        if !is_json(&parts.headers) {
            return Err(wrong_type("application/json"));
        }
        Ok(Self {
            body: json(&bytes)?,
            ticket,
        })
    }
}

impl FromRequest<ApiState> for NoBody {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &ApiState) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let bytes = read(body, &parts.headers, JSON_MAX).await?;
        nothing(&bytes)?;
        // `{}` and no body are one request under one key.
        Ticket::new(&parts.method, &parts.uri, &parts.headers, &[]).map(Self)
    }
}

impl FromRequest<ApiState> for Chunk {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        if !is_type(&parts.headers, "application/octet-stream") {
            return Err(wrong_type("application/octet-stream"));
        }
        let _turn = turn(state).await?;
        read(body, &parts.headers, CHUNK_MAX).await.map(Self)
    }
}

/// A JSON body before it is read, for whoever must know what a request is about.
///
/// # Errors
/// 408, 413, and a body that broke off: what an extractor would say.
pub async fn whole(body: axum::body::Body, parts: &Parts) -> Answered<Bytes> {
    read(body, &parts.headers, json_max(&parts.uri)).await
}

/// How large a JSON body may be.
fn json_max(uri: &Uri) -> usize {
    if uri.path().ends_with(":batch") {
        MANY_MAX
    } else {
        JSON_MAX
    }
}

/// Whether a request may hold much in memory until it is answered, and takes a [`turn`] for it: one of many that does not say that it
/// is small, as most do.
pub fn may_be_large(request: &Request) -> bool {
    let is_small = matches!(announced(request.headers()), Some(0..=JSON_MAX));
    !is_small && request.method() == Method::POST && json_max(request.uri()) > JSON_MAX
}

/// What was sent to be installed.
#[derive(Debug)]
pub enum Sent {
    /// A component alone.
    Component(Vec<u8>),
    /// All that can be said of one, or a bundle.
    Body(Box<InstallPluginBody>),
}

/// A plugin to install: `application/wasm` alone, or JSON.
///
/// # Errors
/// 413, 415, and what is wrong with the JSON.
pub async fn component(request: Request, state: &ApiState) -> Answered<(Sent, Ticket)> {
    let (parts, body) = request.into_parts();
    let raw = is_type(&parts.headers, "application/wasm");
    if !raw && !is_json(&parts.headers) {
        return Err(wrong_type("application/wasm or application/json"));
    }
    let _turn = turn(state).await?;
    let bytes = read(body, &parts.headers, COMPONENT_MAX).await?;
    let ticket = Ticket::new(&parts.method, &parts.uri, &parts.headers, &bytes)?;
    if raw {
        return Ok((Sent::Component(bytes.to_vec()), ticket));
    }
    let body: InstallPluginBody = json(&bytes)?;
    Ok((Sent::Body(Box::new(body)), ticket))
}

/// A place for a large body, to be kept as long as what came of it lives.
///
/// # Errors
/// 429 when the others are not done in time.
pub async fn turn(state: &ApiState) -> Answered<SemaphorePermit<'_>> {
    let turn = tokio::time::timeout(TURN_TIME, state.bounds.large_bodies.acquire()).await;
    turn.ok().and_then(Result::ok).ok_or_else(|| {
        Refused::new(Kind::TooMany, "too many large bodies are on their way; try again").retry_after(1)
    })
}

fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    essence(headers).is_some_and(|essence| essence.eq_ignore_ascii_case(wanted))
}

fn is_json(headers: &HeaderMap) -> bool {
    is_type(headers, "application/json")
}

fn essence(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim())
}

fn wrong_type(wanted: &str) -> Refused {
    Refused::new(Kind::UnsupportedMediaType, format!("send Content-Type: {wanted}"))
}

/// How many bytes a body says it has.
fn announced(headers: &HeaderMap) -> Option<usize> {
    let length = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?;
    let length = length.parse::<u64>().ok()?;
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}

/// Reads at most `max` bytes, within [`BODY_TIME`].
async fn read(body: axum::body::Body, headers: &HeaderMap, max: usize) -> Answered<Bytes> {
    let expected = announced(headers).unwrap_or(0);
    let reading = collect(body, max, expected);
    tokio::time::timeout(BODY_TIME, reading)
        .await
        .unwrap_or_else(|_| {
            Err(Refused::new(
                Kind::TooSlow,
                format!("the body was not here after {} s", BODY_TIME.as_secs()),
            ))
        })
}

async fn collect(body: axum::body::Body, max: usize, expected: usize) -> Answered<Bytes> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::with_capacity(expected.min(max));
    let mut seen = 0_usize;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refused::new(Kind::Malformed, "the body broke off"))?;
        seen = seen.saturating_add(chunk.len());
        if seen <= max && expected <= max {
            bytes.extend_from_slice(&chunk);
        } else if seen > max.saturating_add(DRAIN_MAX) {
            break;
        }
    }
    if seen > max || expected > max {
        let detail = format!("at most {max} bytes are taken here; send less at once");
        return Err(Refused::new(Kind::TooLarge, detail));
    }
    Ok(Bytes::from(bytes))
}

/// Refuses a body where none is taken. Many clients send `{}` when they have nothing to say, whatever type they give it.
fn nothing(bytes: &[u8]) -> Answered<()> {
    match bytes.trim_ascii() {
        [] => Ok(()),
        [b'{', ..] => json(bytes).map(|Nothing {}| ()),
        _ => Err(Refused::field("", "is not taken here; leave it out, or send {}")),
    }
}

/// Parses a JSON object, naming the field that does not fit.
fn json<T: DeserializeOwned>(bytes: &[u8]) -> Answered<T> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Refused::new(
            Kind::Malformed,
            format!("the body is not UTF-8 after byte {}", error.valid_up_to()),
        )
    })?;
    // A struct would also be read from an array of its fields.
    let is_object = text.trim_start().starts_with('{');
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize::<_, T>(&mut json)
        .map_err(|error| unfit(&error, text, is_object))?;
    json.end()
        .map_err(|error| Refused::new(Kind::Malformed, error.to_string()))?;
    if is_object {
        Ok(value)
    } else {
        Err(Refused::field("", "must be a JSON object"))
    }
}

fn unfit(error: &serde_path_to_error::Error<serde_json::Error>, body: &str, is_object: bool) -> Refused {
    let inner = error.inner();
    // A number where a word is wanted is a mistake of syntax to the parser, and of one field to its author.
    let reads = inner.is_data() || serde_json::from_str::<serde_json::Value>(body).is_ok();
    if !reads {
        return Refused::new(Kind::Malformed, inner.to_string());
    }
    if !is_object {
        return Refused::field("", "must be a JSON object");
    }
    let text = if inner.is_data() {
        inner.to_string()
    } else {
        "is of another type than is taken here".to_owned()
    };
    let problem = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(problem, _)| problem);
    Refused::fields(vec![FieldProblem {
        pointer: pointer(error.path(), problem),
        problem: plainly(problem),
    }])
}

/// The JSON pointer (RFC 6901) of a path; of a missing or unknown field it ends in that field.
fn pointer(path: &serde_path_to_error::Path, problem: &str) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    let mut push = |part: &str| {
        pointer.push('/');
        pointer.push_str(&part.replace('~', "~0").replace('/', "~1"));
    };
    let mut last = None;
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&index.to_string()),
            Segment::Map { key } => {
                push(key);
                last = Some(key.as_str());
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    let names_a_field = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .any(|p| problem.starts_with(p));
    if let Some(field) = problem.split('`').nth(1).filter(|_| names_a_field)
        && last != Some(field)
    {
        push(field);
    }
    pointer
}

#[cfg(test)]
mod tests {
    use velum_wire::{CreateInstanceBody, CreateZoneBody};

    use super::*;

    fn refused<T: DeserializeOwned + std::fmt::Debug>(body: &[u8]) -> (Kind, String) {
        let refused = json::<T>(body).expect_err("it is refused");
        (refused.kind(), format!("{refused:?}"))
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for body in [
            &b""[..],
            b"{",
            b"nul",
            b"{\"name\":\"a\"} {}",
            b"\xff",
            b"{\"name\":\"\xff\"}",
            b"{\"name\":\"a\",}",
        ] {
            let (kind, text) = refused::<CreateZoneBody>(body);
            assert_eq!(kind, Kind::Malformed, "{text}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(refused::<serde_json::Value>(deep.as_bytes()).0, Kind::Malformed);
    }

    #[test]
    fn where_no_body_is_taken_an_empty_object_is_none() {
        for none in [&b""[..], b" \r\n\t", b"{}", b" {\n}\n"] {
            assert_eq!(nothing(none), Ok(()), "{none:?}");
        }
        for (body, kind, words) in [
            (&br#"{"force":true}"#[..], Kind::Invalid, r#"pointer: "/force""#),
            (b"{} {}", Kind::Malformed, "trailing characters"),
            (b"{", Kind::Malformed, "EOF"),
            (b"null", Kind::Invalid, "the body is not taken here"),
            (b"[]", Kind::Invalid, "the body is not taken here"),
            (b"x", Kind::Invalid, "the body is not taken here"),
            (b"\xff", Kind::Invalid, "the body is not taken here"),
        ] {
            let refused = nothing(body).expect_err("it is refused");
            assert_eq!(refused.kind(), kind, "{refused:?}");
            assert!(format!("{refused:?}").contains(words), "{refused:?}");
        }
    }

    #[test]
    fn a_field_that_does_not_fit_is_named_by_its_pointer() {
        let (kind, text) = refused::<CreateZoneBody>(br#"{"name":"a","nam":1}"#);
        assert_eq!(kind, Kind::Invalid);
        assert!(text.contains(r#"pointer: "/nam""#), "{text}");
        let (_, text) = refused::<CreateZoneBody>(br#"{"name":7}"#);
        assert!(text.contains(r#"pointer: "/name""#), "{text}");
        assert!(!text.contains("line"), "{text}");
        let (_, text) = refused::<CreateZoneBody>(b"{}");
        assert!(text.contains(r#"pointer: "/name""#), "{text}");
        for access in ["7", "null", "[]", "{}", "true"] {
            let body = format!(r#"{{"name":"a","access":{access}}}"#);
            let (kind, text) = refused::<CreateZoneBody>(body.as_bytes());
            assert_eq!(kind, Kind::Invalid, "{text}");
            assert!(text.contains(r#"pointer: "/access""#), "{text}");
        }
        let id = uuid::Uuid::nil();
        let body = format!(
            r#"{{"zone_id":"{id}","name":"a","compute_offering_id":"{id}","template_id":"{id}","networks":[{{"network_id":3}}]}}"#
        );
        let (_, text) = refused::<CreateInstanceBody>(body.as_bytes());
        assert!(text.contains(r#"pointer: "/networks/0/network_id""#), "{text}");
        for body in [&b"[]"[..], b"[\"a\"]", b"null", b"3", b"\"x\""] {
            let (kind, text) = refused::<CreateZoneBody>(body);
            assert_eq!(kind, Kind::Invalid);
            assert!(text.contains("must be a JSON object"), "{text}");
        }
    }
}
