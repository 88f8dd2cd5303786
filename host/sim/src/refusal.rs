//! What is answered when something was not done.

use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

/// Codes of the contracts (`velum:common`), as far as they occur here.
pub mod code {
    /// The request can never succeed here.
    pub const UNSUPPORTED: u16 = 1;
    /// What was named does not exist.
    pub const NOT_FOUND: u16 = 2;
    /// It exists, but made for something else.
    pub const EXISTS_DIFFERENT: u16 = 3;
    /// No room.
    pub const EXHAUSTED: u16 = 4;
    /// Busy with this object; try again.
    pub const BUSY: u16 = 5;
    /// A newer owner or incarnation has been seen.
    pub const FENCED: u16 = 7;
    /// Does not answer.
    pub const UNREACHABLE: u16 = 8;
    /// Cancelled on request.
    pub const CANCELLED: u16 = 9;
    /// The arguments are wrong.
    pub const INVALID: u16 = 10;
    /// Not available now.
    pub const UNAVAILABLE: u16 = 14;
    /// Failed by itself.
    pub const FAILED: u16 = 15;
    /// An image is not what it claims to be.
    pub const BAD_IMAGE: u16 = 16;
}

/// A refusal or failure, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// See [`code`].
    pub code: u16,
    /// Whether it is certain that nothing changed.
    pub unchanged: bool,
    /// In words.
    pub detail: String,
    /// When to try again.
    pub retry_after_ms: Option<u32>,
    /// Bytes that are there, where an upload was continued at the wrong place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
}

impl Refused {
    /// Nothing changed.
    #[must_use]
    pub fn unchanged(code: u16, detail: impl Into<String>) -> Self {
        Self {
            code,
            unchanged: true,
            detail: detail.into(),
            retry_after_ms: None,
            received: None,
        }
    }

    /// What was named does not exist.
    #[must_use]
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::unchanged(code::NOT_FOUND, format!("there is no {what}"))
    }

    /// The arguments are wrong.
    #[must_use]
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::unchanged(code::INVALID, detail)
    }

    fn status(&self) -> StatusCode {
        match self.code {
            code::NOT_FOUND => StatusCode::NOT_FOUND,
            code::INVALID if self.received.is_none() => StatusCode::BAD_REQUEST,
            code::BAD_IMAGE => StatusCode::UNPROCESSABLE_ENTITY,
            code::EXHAUSTED => StatusCode::INSUFFICIENT_STORAGE,
            code::UNREACHABLE | code::UNAVAILABLE => StatusCode::SERVICE_UNAVAILABLE,
            code::FAILED => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::CONFLICT,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status(), Json(self)).into_response()
    }
}

impl From<JsonRejection> for Refused {
    fn from(rejection: JsonRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}
impl From<PathRejection> for Refused {
    fn from(rejection: PathRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}
impl From<QueryRejection> for Refused {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}
