//! `GET /v1/events`: a page, or a stream of what happens.

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use uuid::Uuid;
use velum_model::{Id, page::Page as Part};
use velum_service::{EventCursor, EventFilter};
use velum_wire::{EventView, Page};

use super::{stream, view::view};
use crate::{
    answer,
    auth::By,
    error::{Answered, Refused},
    state::ApiState,
    take::{self, Query},
};

/// Which events: those that match all that is said.
#[derive(Clone, Debug, Default, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// At most so many items; 100 unless said. Without meaning for a stream.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// What comes after this: `next_cursor` of a page, or the id of an event.
    #[param(max_length = 49152)]
    cursor: Option<String>,
    /// Of this kind: `instance.created`, `operation.done`, …
    #[param(max_length = 64)]
    kind: Option<String>,
    /// About this resource.
    resource_id: Option<Uuid>,
    /// Done by this operation.
    operation_id: Option<Uuid>,
}

/// Lists events, or streams them as they happen.
///
/// With `Accept: text/event-stream` it answers a stream of Server-Sent Events: those after `Last-Event-ID` (or
/// `cursor`), from now on without either; each has its id, its kind as `event`, and the same JSON as `data`.
#[utoipa::path(
    get,
    path = "/v1/events",
    params(EventsQuery),
    responses((status = 200, description = "A part of the log, oldest first", content(
        (Page<EventView> = "application/json"),
        (String = "text/event-stream"),
    )))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    headers: HeaderMap,
    Query(query): Query<EventsQuery>,
) -> Answered<Response> {
    let filter = EventFilter {
        kind: take::word("kind", query.kind)?,
        resource: query.resource_id,
        operation: query.operation_id.map(Id::from_uuid),
    };
    let limit = take::page(query.limit, None)?.limit;
    if wants_stream(&headers) {
        let from = match headers.get("last-event-id") {
            Some(value) => Some(value.to_str().map_err(|_| unknown_position())?.to_owned()),
            None => query.cursor,
        };
        let from = from
            .map(|text| position(&text).map_err(|_| unknown_position()))
            .transpose()?;
        return stream::open(api, caller, filter, from)
            .await
            .map(IntoResponse::into_response);
    }
    let mut position = match query.cursor {
        Some(text) => position(&text).map_err(|problem| Refused::parameter("cursor", problem))?,
        None => EventCursor::default(),
    };
    let (events, end) = api
        .services
        .event_list(&caller, &filter, &position, limit)
        .await?;
    let items: Vec<EventView> = events.iter().map(|event| view(event, &mut position)).collect();
    let next_cursor = (!items.is_empty()).then(|| end.to_string());
    Ok(answer::plain(&Page { items, next_cursor }).into_response())
}

/// The longest text of a position, 1,024 shards with 47 characters each: with it a request's line stays below the 64 KiB
/// that HTTP takes.
const POSITION_MAX: usize = 48 << 10;

fn position(text: &str) -> Result<EventCursor, String> {
    if text.len() > POSITION_MAX {
        return Err(format!("has more than {POSITION_MAX} bytes"));
    }
    text.parse()
        .map_err(|error: velum_service::EventCursorError| error.to_string())
}

/// A part of the log that one query of a stream reads.
pub(super) const BATCH: u32 = Part::DEFAULT_LIMIT;

fn wants_stream(headers: &HeaderMap) -> bool {
    let accept = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    accept.flat_map(|value| value.split(',')).any(|kind| {
        kind.split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
    })
}

fn unknown_position() -> Refused {
    Refused::header(
        "last-event-id",
        "is not the id of an event; leave it out to hear what happens from now on",
    )
}
