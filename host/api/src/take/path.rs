//! The id in a path.

use std::marker::PhantomData;

use axum::{
    RequestPartsExt,
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use uuid::Uuid;
use velum_model::Id;

use crate::{error::Refused, problem::Kind};

/// The `{id}` of a path. A text that is no UUID names nothing: 404, as for an id that does not exist.
#[derive(Debug)]
pub struct PathId<Of> {
    /// The id.
    pub id: Id<Of>,
    of: PhantomData<fn() -> Of>,
}

/// A UUID in its usual form: 32 digits and 4 hyphens.
const LEN: usize = 36;

impl<S: Send + Sync, Of> FromRequestParts<S> for PathId<Of> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let text = parts
            .extract::<Path<String>>()
            .await
            .map(|Path(text)| text)
            .unwrap_or_default();
        Some(text.as_str())
            .filter(|text| text.len() == LEN)
            .and_then(|text| Uuid::parse_str(text).ok())
            .map(|uuid| Self {
                id: Id::from_uuid(uuid),
                of: PhantomData,
            })
            .ok_or_else(|| Refused::new(Kind::NotFound, format!("{text:?} is not the id of anything")))
    }
}
