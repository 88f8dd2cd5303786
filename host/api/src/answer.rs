//! Answers, worded once: what a first request is answered and what its replay is answered are the same bytes.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use velum_model::{OperationId, page::Paged};
use velum_service::{Answered, StoredAnswer};
use velum_wire::Page;

/// An answer in JSON.
#[derive(Debug)]
pub struct Answer {
    stored: StoredAnswer,
    replayed: bool,
}

impl From<StoredAnswer> for Answer {
    fn from(stored: StoredAnswer) -> Self {
        Self {
            stored,
            replayed: false,
        }
    }
}

impl Answer {
    /// The answer to what was changed now or, under an idempotency key, earlier.
    #[must_use]
    pub fn of<T>(answered: Answered<T>, render: impl Fn(&T) -> StoredAnswer) -> Self {
        match answered {
            Answered::Fresh(made) => Self {
                stored: render(&made),
                replayed: false,
            },
            Answered::Replayed(stored) => Self {
                stored,
                replayed: true,
            },
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Self { stored, replayed } = self;
        let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::new(Body::from(stored.body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let texts = [(header::LOCATION, stored.location), (header::ETAG, stored.etag)];
        for (name, text) in texts {
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
                headers.insert(name, value);
            }
        }
        if replayed {
            headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}

/// 201: a record was made; `location` is where it is.
pub fn created(location: String, generation: Option<u64>, view: &impl Serialize) -> StoredAnswer {
    stored(StatusCode::CREATED, Some(location), generation, view)
}

/// 200: it was done; told the same when its key is used again.
pub fn done(view: &impl Serialize) -> StoredAnswer {
    stored(StatusCode::OK, None, None, view)
}

/// The same of what has a generation.
pub fn done_at(generation: u64, view: &impl Serialize) -> StoredAnswer {
    stored(StatusCode::OK, None, Some(generation), view)
}

/// 202: an operation works on it.
pub fn accepted(operation: OperationId, generation: u64, view: &impl Serialize) -> StoredAnswer {
    stored(
        StatusCode::ACCEPTED,
        Some(format!("/v1/operations/{operation}")),
        Some(generation),
        view,
    )
}

/// 202: operations work on what of it was accepted.
pub fn accepted_many(view: &impl Serialize) -> StoredAnswer {
    stored(StatusCode::ACCEPTED, None, None, view)
}

/// 200: so it is, at this generation.
pub fn tagged(generation: u64, view: &impl Serialize) -> Answer {
    stored(StatusCode::OK, None, Some(generation), view).into()
}

/// 200: so it is.
pub fn plain(view: &impl Serialize) -> Answer {
    stored(StatusCode::OK, None, None, view).into()
}

/// 200: a part of a list.
pub fn listed<T, V: Serialize>(paged: Paged<T>, view: impl FnMut(T) -> V) -> Answer {
    let next_cursor = paged.next.map(|id| id.to_string());
    let room = paged.items.len().saturating_mul(USUAL_ROW);
    let page = Page {
        items: paged.items.into_iter().map(view).collect::<Vec<_>>(),
        next_cursor,
    };
    stored_in(room, StatusCode::OK, (None, None), &page).into()
}

/// Bytes of most rows of a list; what is longer only makes its page grow.
const USUAL_ROW: usize = 1024;

fn stored(
    status: StatusCode,
    location: Option<String>,
    generation: Option<u64>,
    view: &impl Serialize,
) -> StoredAnswer {
    stored_in(USUAL_ROW, status, (location, generation), view)
}

/// The same of what takes about so many bytes.
fn stored_in(
    room: usize,
    status: StatusCode,
    (location, generation): (Option<String>, Option<u64>),
    view: &impl Serialize,
) -> StoredAnswer {
    let mut body = Vec::with_capacity(room);
    // Views are structs of texts, numbers and maps with text keys: writing them does not fail, and it is UTF-8.
    let written = serde_json::to_writer(&mut body, view).map(|()| String::from_utf8(body));
    let (status, body) = match written {
        Ok(Ok(body)) => (status, body),
        other => {
            tracing::error!(?other, "an answer could not be written as JSON");
            (StatusCode::INTERNAL_SERVER_ERROR, "null".to_owned())
        }
    };
    let etag = generation.map(|generation| format!("\"{generation}\""));
    StoredAnswer {
        status: status.as_u16(),
        location,
        etag,
        body,
    }
}
