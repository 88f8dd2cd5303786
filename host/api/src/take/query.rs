//! Query parameters.

use std::net::Ipv4Addr;

use axum::{extract::FromRequestParts, http::request::Parts};
use serde::de::DeserializeOwned;
use uuid::Uuid;
use velum_model::{
    Name, Timestamp,
    page::Page,
    plugin::{Digest, DigestError},
};

use crate::error::{Answered, Refused};

/// Query parameters of type `T`, which refuses those that it does not know.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let axum::extract::Query(value) = axum::extract::Query::try_from_uri(&parts.uri)?;
        Ok(Self(value))
    }
}

/// The part of a list that `limit` and `cursor` name.
///
/// # Errors
/// 400 when the limit is out of range or the cursor none of ours.
pub fn page(limit: Option<u32>, cursor: Option<&str>) -> Answered<Page> {
    let limit = limit.unwrap_or(Page::DEFAULT_LIMIT);
    if !(1..=Page::MAX_LIMIT).contains(&limit) {
        let problem = format!("must be between 1 and {}, not {limit}", Page::MAX_LIMIT);
        return Err(Refused::parameter("limit", problem));
    }
    let after = cursor.map(Uuid::parse_str).transpose().map_err(|_| {
        Refused::parameter(
            "cursor",
            "is not a next_cursor of an earlier page; leave it out to begin",
        )
    })?;
    Ok(Page { limit, after })
}

/// A moment in RFC 3339.
///
/// # Errors
/// 400 when it is none.
pub fn moment(parameter: &str, text: Option<&str>) -> Answered<Option<Timestamp>> {
    text.map(str::parse).transpose().map_err(|_| {
        let problem = "is no moment in RFC 3339, such as 2026-11-29T21:00:00Z";
        Refused::parameter(parameter, problem)
    })
}

/// A name to look for.
///
/// # Errors
/// 400 when nothing can be named so.
pub fn named(parameter: &str, text: Option<&str>) -> Answered<Option<Name>> {
    text.map(Name::new)
        .transpose()
        .map_err(|error| Refused::parameter(parameter, error.to_string()))
}

/// The longest kind of event or version of a plugin, with room.
const WORD_MAX: usize = 64;

/// A word to look for.
///
/// # Errors
/// 400 when it is none.
pub fn word(parameter: &str, text: Option<String>) -> Answered<Option<String>> {
    let wrong = |text: &String| {
        text.is_empty() || text.len() > WORD_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match text {
        Some(text) if wrong(&text) => Err(Refused::parameter(
            parameter,
            format!("must have 1 to {WORD_MAX} visible ASCII characters"),
        )),
        text => Ok(text),
    }
}

/// An address to look for.
///
/// # Errors
/// 400 when it is none.
pub fn addressed(parameter: &str, text: Option<&str>) -> Answered<Option<Ipv4Addr>> {
    let address = text.map(str::parse).transpose();
    address.map_err(|_| Refused::parameter(parameter, "must be an IPv4 address such as 10.1.0.10"))
}

/// A component to look for.
///
/// # Errors
/// 400 when it is no digest.
pub fn digested(parameter: &str, text: Option<&str>) -> Answered<Option<Digest>> {
    text.map(str::parse)
        .transpose()
        .map_err(|error: DigestError| Refused::parameter(parameter, error.to_string()))
}

/// Declares the query of a list: its filters beside `limit` and `cursor`, which every list has.
macro_rules! list_query {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, serde::Deserialize, utoipa::IntoParams)]
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub struct $name {
            /// At most so many items; 100 unless said.
            #[param(minimum = 1, maximum = 500)]
            limit: Option<u32>,
            /// `next_cursor` of the page before.
            cursor: Option<String>,
            $($(#[$field_doc])* $field: Option<$kind>,)*
        }

        impl $name {
            /// The part of the list that is asked for.
            fn page(&self) -> $crate::error::Answered<velum_model::page::Page> {
                $crate::take::page(self.limit, self.cursor.as_deref())
            }
        }
    };
}
pub(crate) use list_query;
