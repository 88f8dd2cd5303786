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
    /// A network or a pod has no free address.
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
    /// Nobody whose word counts stands for a component.
    Untrusted,
    /// A component asks for what nobody granted yet.
    GrantNeeded,
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
    pub const ALL: [Self; 27] = [
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
        Self::Untrusted,
        Self::GrantNeeded,
        Self::UpgradeRequired,
        Self::TooMany,
        Self::Internal,
        Self::Unavailable,
        Self::PolicyFailed,
    ];

    /// The `type`: a URI reference that never changes.
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Malformed => "/problems/malformed",
            Self::BadRequest => "/problems/bad-request",
            Self::Unauthenticated => "/problems/unauthenticated",
            Self::NotFound => "/problems/not-found",
            Self::MethodNotAllowed => "/problems/method-not-allowed",
            Self::TooSlow => "/problems/too-slow",
            Self::NameTaken => "/problems/name-taken",
            Self::InUse => "/problems/in-use",
            Self::Locked => "/problems/locked",
            Self::InvalidState => "/problems/invalid-state",
            Self::WrongOffset => "/problems/wrong-offset",
            Self::NoCapacity => "/problems/no-capacity",
            Self::NoAddresses => "/problems/no-addresses",
            Self::AddressTaken => "/problems/address-taken",
            Self::Stale => "/problems/stale",
            Self::TooLarge => "/problems/too-large",
            Self::UnsupportedMediaType => "/problems/unsupported-media-type",
            Self::Invalid => "/problems/invalid",
            Self::KeyReused => "/problems/idempotency-key-reused",
            Self::PluginRefused => "/problems/plugin-refused",
            Self::Untrusted => "/problems/plugin-untrusted",
            Self::GrantNeeded => "/problems/grant-needed",
            Self::UpgradeRequired => "/problems/upgrade-required",
            Self::TooMany => "/problems/too-many",
            Self::Internal => "/problems/internal",
            Self::Unavailable => "/problems/unavailable",
            Self::PolicyFailed => "/problems/policy-failed",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NameTaken
            | Self::InUse
            | Self::Locked
            | Self::InvalidState
            | Self::WrongOffset
            | Self::NoCapacity
            | Self::NoAddresses
            | Self::AddressTaken => StatusCode::CONFLICT,
            Self::Stale => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid | Self::KeyReused | Self::PluginRefused | Self::Untrusted | Self::GrantNeeded => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable | Self::PolicyFailed => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The body is not JSON",
            Self::BadRequest => "The request does not read",
            Self::Unauthenticated => "A valid token is needed",
            Self::NotFound => "There is no such thing",
            Self::MethodNotAllowed => "The route does not take this method",
            Self::TooSlow => "The body did not arrive in time",
            Self::NameTaken => "The name is in use",
            Self::InUse => "It is still used",
            Self::Locked => "An operation is at work on it",
            Self::InvalidState => "Its state does not allow it",
            Self::WrongOffset => "The upload goes on elsewhere",
            Self::NoCapacity => "There is no room",
            Self::NoAddresses => "No address is free",
            Self::AddressTaken => "The address is not free",
            Self::Stale => "It has changed since it was read",
            Self::TooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body is of another type",
            Self::Invalid => "The request cannot be accepted",
            Self::KeyReused => "The idempotency key was used for another request",
            Self::PluginRefused => "The component is not accepted",
            Self::Untrusted => "Nobody whose word counts here stands for the component",
            Self::GrantNeeded => "The component asks for what was not granted",
            Self::UpgradeRequired => "A WebSocket is wanted",
            Self::TooMany => "Too much at once",
            Self::Internal => "The server failed",
            Self::Unavailable => "Not now",
            Self::PolicyFailed => "The placement policy failed",
        }
    }
}
