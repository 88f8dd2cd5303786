//! The kinds of problems: each has a stable `type`, a title and a status. Clients match on the `type`.

use axum::http::StatusCode;

/// Which problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The body is not JSON.
    Malformed,
    /// A query parameter or a header does not read.
    BadRequest,
    /// No token, or one that is not known.
    Unauthenticated,
    /// No such resource or route.
    NotFound,
    /// The route does not take the method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    TooSlow,
    /// The name is in use.
    NameTaken,
    /// Something still points to it.
    InUse,
    /// An operation is at work on it.
    Locked,
    /// Its state does not allow it.
    InvalidState,
    /// An upload does not go on at this offset.
    WrongOffset,
    /// No compute host or pool has the room.
    NoCapacity,
    /// A network has no free address.
    NoAddresses,
    /// The address that was asked for is not free.
    AddressTaken,
    /// It has changed since it was read.
    Stale,
    /// The body is too large.
    TooLarge,
    /// The body is of another type.
    UnsupportedMediaType,
    /// Fields cannot be accepted.
    Invalid,
    /// An idempotency key was used for another request.
    KeyReused,
    /// A component is not accepted.
    PluginRefused,
    /// A WebSocket was wanted.
    UpgradeRequired,
    /// Too much at once.
    TooMany,
    /// The server's own fault.
    Internal,
    /// Not now.
    Unavailable,
    /// A policy failed and may not be replaced.
    PolicyFailed,
}

impl Kind {
    /// Every kind, for the documentation.
    pub const ALL: [Self; 25] = [
        Self::Malformed,
        Self::BadRequest,
        Self::Unauthenticated,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TooSlow,
        Self::NameTaken,
        Self::InUse,
        Self::Locked,
        Self::InvalidState,
        Self::WrongOffset,
        Self::NoCapacity,
        Self::NoAddresses,
        Self::AddressTaken,
        Self::Stale,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Invalid,
        Self::KeyReused,
        Self::PluginRefused,
        Self::UpgradeRequired,
        Self::TooMany,
        Self::Internal,
        Self::Unavailable,
        Self::PolicyFailed,
    ];

    const fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::Malformed => (
                "/problems/malformed",
                StatusCode::BAD_REQUEST,
                "The body is not JSON",
            ),
            Self::BadRequest => (
                "/problems/bad-request",
                StatusCode::BAD_REQUEST,
                "The request does not read",
            ),
            Self::Unauthenticated => (
                "/problems/unauthenticated",
                StatusCode::UNAUTHORIZED,
                "A token is needed",
            ),
            Self::NotFound => (
                "/problems/not-found",
                StatusCode::NOT_FOUND,
                "There is no such thing",
            ),
            Self::MethodNotAllowed => (
                "/problems/method-not-allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "The route does not take this method",
            ),
            Self::TooSlow => (
                "/problems/too-slow",
                StatusCode::REQUEST_TIMEOUT,
                "The body did not arrive in time",
            ),
            Self::NameTaken => ("/problems/name-taken", StatusCode::CONFLICT, "The name is in use"),
            Self::InUse => ("/problems/in-use", StatusCode::CONFLICT, "It is still used"),
            Self::Locked => (
                "/problems/locked",
                StatusCode::CONFLICT,
                "An operation is at work on it",
            ),
            Self::InvalidState => (
                "/problems/invalid-state",
                StatusCode::CONFLICT,
                "Its state does not allow it",
            ),
            Self::WrongOffset => (
                "/problems/wrong-offset",
                StatusCode::CONFLICT,
                "The upload goes on elsewhere",
            ),
            Self::NoCapacity => ("/problems/no-capacity", StatusCode::CONFLICT, "There is no room"),
            Self::NoAddresses => (
                "/problems/no-addresses",
                StatusCode::CONFLICT,
                "The network has no free address",
            ),
            Self::AddressTaken => (
                "/problems/address-taken",
                StatusCode::CONFLICT,
                "The address is not free",
            ),
            Self::Stale => (
                "/problems/stale",
                StatusCode::PRECONDITION_FAILED,
                "It has changed since it was read",
            ),
            Self::TooLarge => (
                "/problems/too-large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body is too large",
            ),
            Self::UnsupportedMediaType => (
                "/problems/unsupported-media-type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body is of another type",
            ),
            Self::Invalid => (
                "/problems/invalid",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The request cannot be accepted",
            ),
            Self::KeyReused => (
                "/problems/idempotency-key-reused",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The idempotency key was used for another request",
            ),
            Self::PluginRefused => (
                "/problems/plugin-refused",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The component is not accepted",
            ),
            Self::UpgradeRequired => (
                "/problems/upgrade-required",
                StatusCode::UPGRADE_REQUIRED,
                "A WebSocket is wanted",
            ),
            Self::TooMany => (
                "/problems/too-many",
                StatusCode::TOO_MANY_REQUESTS,
                "Too much at once",
            ),
            Self::Internal => (
                "/problems/internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "The server failed",
            ),
            Self::Unavailable => (
                "/problems/unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "Not now",
            ),
            Self::PolicyFailed => (
                "/problems/policy-failed",
                StatusCode::SERVICE_UNAVAILABLE,
                "The placement policy failed",
            ),
        }
    }

    /// The `type`: a URI reference that never changes.
    #[must_use]
    pub const fn uri(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.row().1
    }

    /// The title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().2
    }
}
