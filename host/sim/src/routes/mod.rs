//! The HTTP API. `README.md` beside this crate says what each route takes and answers.

mod control;
mod hosts;
mod images;
mod pools;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, rejection::BytesRejection},
};
use serde::Deserialize;
use uuid::Uuid;

use crate::{Sim, compute::PAGE_MAX, refusal::Refused, verb::Verb, world::Order};

/// The largest piece of an image in one request; JSON bodies are far smaller.
const BODY_MAX: usize = 64 << 20;

/// All routes over one far side.
pub fn app(sim: Arc<Sim>) -> Router {
    Router::new()
        .merge(hosts::routes())
        .merge(pools::routes())
        .merge(images::routes())
        .merge(control::routes())
        .fallback(async || Refused::not_found("such route"))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(sim)
}

/// Parts of the path; what does not parse is refused as JSON.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Refused))]
struct At<T>(T);

/// The query; likewise.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Refused))]
struct Asked<T>(T);

/// The body; likewise.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Refused))]
struct Body<T>(T);

impl From<BytesRejection> for Refused {
    fn from(rejection: BytesRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

/// Which page of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

impl Page {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE_MAX)
    }

    fn after_id(&self) -> Result<Option<Uuid>, Refused> {
        let after = self.after.as_deref().filter(|after| !after.is_empty());
        after
            .map(|text| {
                text.parse()
                    .map_err(|_| Refused::invalid(format!("{text} is no id")))
            })
            .transpose()
    }
}

/// What is asked for, under which path, and the names that faults and holds match.
fn order(verb: Verb, place: String, names: &[&str]) -> Order {
    Order {
        verb,
        place,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}
