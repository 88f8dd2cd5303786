//! The one place where a refusal of any origin becomes an answer: a problem (RFC 9457) with a stable `type`.

use std::error::Error;

use axum::{
    Json,
    extract::{rejection::QueryRejection, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use velum_model::{
    decision::RefusalCount,
    grant::{Capabilities, wishes},
    port::plugins::PluginRefused,
};
use velum_service::{LEASE_S, ServiceError};
use velum_wire::{FieldProblem, PROBLEM_JSON, Problem, RefusalView, WishView};

use crate::{forward::NotOwner, problem::Kind, take::plainly, trace};

/// A request that was refused, ready to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    kind: Kind,
    problem: Box<Problem>,
    retry_after_s: Option<u32>,
    is_not_owner: bool,
}

/// What every refused request answers with.
pub type Answered<T> = Result<T, Refused>;

impl Refused {
    /// A refusal of this kind, in words that say what is wrong and what to do.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let problem = Problem {
            kind: kind.uri().into(),
            title: kind.title().into(),
            status: kind.status().as_u16(),
            detail: Some(detail.into()),
            errors: Vec::new(),
            operation: None,
            refusals: Vec::new(),
            used_by: None,
            digest: None,
            asks: Vec::new(),
            grant: None,
            request_id: None,
        };
        Self {
            kind,
            problem: Box::new(problem),
            retry_after_s: None,
            is_not_owner: false,
        }
    }

    /// A field of the body that cannot be accepted. `pointer` is a JSON pointer.
    #[must_use]
    pub fn field(pointer: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::fields(vec![FieldProblem {
            pointer: pointer.into(),
            problem: problem.into(),
        }])
    }

    /// Fields of the body that cannot be accepted; at least one.
    #[must_use]
    pub fn fields(errors: Vec<FieldProblem>) -> Self {
        let words: Vec<String> = errors.iter().map(in_words).collect();
        let mut refused = Self::new(Kind::Invalid, words.join("; "));
        refused.problem.errors = errors;
        refused
    }

    /// A query parameter that does not read.
    #[must_use]
    pub fn parameter(name: &str, problem: impl Into<String>) -> Self {
        let error = FieldProblem {
            pointer: format!("?{name}"),
            problem: problem.into(),
        };
        let mut refused = Self::new(Kind::BadRequest, in_words(&error));
        refused.problem.errors = vec![error];
        refused
    }

    /// A query parameter that the route does not take; `taken` are those that it does.
    #[must_use]
    pub fn unknown_parameter(name: &str, taken: &[String]) -> Self {
        let problem = match taken {
            [] => "is not taken here; this takes no query parameters".to_owned(),
            taken => format!("is not taken here; this takes {}", taken.join(", ")),
        };
        Self::parameter(name, problem)
    }

    /// A header that does not read.
    #[must_use]
    pub fn header(name: &str, problem: impl Into<String>) -> Self {
        let error = FieldProblem {
            pointer: format!(":{name}"),
            problem: problem.into(),
        };
        let mut refused = Self::new(Kind::BadRequest, in_words(&error));
        refused.problem.errors = vec![error];
        refused
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The problem, for an answer that has it beside other things.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        *self.problem
    }

    /// The same of a part of the body, with its fields under `place`.
    #[must_use]
    pub fn within(self, place: &str) -> Self {
        if self.kind == Kind::Invalid {
            let mut errors = self.problem.errors;
            errors
                .iter_mut()
                .for_each(|error| error.pointer.insert_str(0, place));
            return Self::fields(errors);
        }
        self
    }

    /// The same of one of several in the body, by its place and its name.
    fn of(mut self, pointer: &str, name: &str) -> Self {
        let words = self.problem.detail.take().unwrap_or_default();
        self.problem.errors = vec![FieldProblem {
            pointer: pointer.to_owned(),
            problem: words.clone(),
        }];
        self.problem.detail = Some(format!("{name}: {words}"));
        self
    }

    /// Which kind it is.
    #[cfg(test)]
    pub const fn kind(&self) -> Kind {
        self.kind
    }
}

fn in_words(error: &FieldProblem) -> String {
    if error.pointer.is_empty() {
        format!("the body {}", error.problem)
    } else {
        format!("{}: {}", error.pointer, error.problem)
    }
}

impl IntoResponse for Refused {
    fn into_response(mut self) -> Response {
        self.problem.request_id = trace::request_id();
        let mut response = (self.kind.status(), Json(self.problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if self.kind == Kind::Unauthenticated {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"velum\""),
            );
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.is_not_owner {
            response.extensions_mut().insert(NotOwner);
        }
        response
    }
}

impl From<ServiceError> for Refused {
    fn from(error: ServiceError) -> Self {
        Self::from(&error)
    }
}

impl From<&ServiceError> for Refused {
    fn from(error: &ServiceError) -> Self {
        let words = error.to_string();
        match error {
            ServiceError::NotFound { .. } => Self::new(Kind::NotFound, words),
            ServiceError::Invalid { field, problem, hint } => {
                let advice = if hint.is_empty() {
                    problem.clone()
                } else {
                    format!("{problem}; {hint}")
                };
                Self::field(field, advice)
            }
            ServiceError::NameTaken { what: "plugin", .. } => {
                let hint = "made of something else; raise the version in plugin.toml, or remove that one";
                Self::new(Kind::NameTaken, format!("{words}, {hint}"))
            }
            ServiceError::NameTaken { .. } => {
                Self::new(Kind::NameTaken, format!("{words}; choose another name"))
            }
            ServiceError::InUse { by, .. } => {
                let mut refused = Self::new(Kind::InUse, format!("{words}; remove that first"));
                refused.problem.used_by = Some(by.clone());
                refused
            }
            ServiceError::Locked { operation } => {
                let link = format!("/v1/operations/{operation}");
                let mut refused = Self::new(Kind::Locked, format!("{words}; wait for {link} to end"));
                refused.problem.operation = Some(link);
                refused
            }
            ServiceError::Stale { .. } => Self::new(Kind::Stale, format!("{words}; read it again")),
            ServiceError::InvalidState { .. } => Self::new(Kind::InvalidState, words),
            ServiceError::WrongOffset { .. } => Self::new(Kind::WrongOffset, words),
            ServiceError::NoCapacity { decision } => no_room(words, &decision.refused),
            ServiceError::NoStorage { refused } => no_room(words, refused),
            ServiceError::NoAddresses { what, .. } => Self::new(
                Kind::NoAddresses,
                format!("{words}; add a range to it or use another {what}"),
            ),
            ServiceError::AddressTaken { .. } | ServiceError::AddressInNoRange { .. } => Self::new(
                Kind::AddressTaken,
                format!("{words}; choose another, or none to get any"),
            ),
            ServiceError::OfSeveral { field, name, why } => Self::from(&**why).of(field, name),
            ServiceError::Unauthenticated { .. } => Self::new(Kind::Unauthenticated, words),
            ServiceError::KeyReused => Self::new(Kind::KeyReused, format!("{words}; use a new key")),
            ServiceError::PolicyFailed { retry_after_s, .. } => {
                Self::new(Kind::PolicyFailed, words).retry_after(*retry_after_s)
            }
            ServiceError::Unavailable { retry_after_s, .. } => {
                Self::new(Kind::Unavailable, words).retry_after(*retry_after_s)
            }
            ServiceError::NotOwner => Self {
                is_not_owner: true,
                ..Self::new(Kind::Unavailable, words).retry_after(LEASE_S)
            },
            ServiceError::PluginRefused(refused) => Self::from(refused),
            ServiceError::Untrusted { digest, .. } => {
                let mut refused = Self::new(Kind::Untrusted, words);
                refused.problem.digest = Some(digest.to_string());
                refused
            }
            ServiceError::GrantNeeded {
                digest, new, asks, ..
            } => grant_needed(&words, digest.to_string(), new, asks),
            ServiceError::Internal { .. } => internal(error),
        }
    }
}

/// The cause goes to the log under the request's id; the caller learns the id alone.
fn internal(error: &ServiceError) -> Refused {
    let mut causes = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push_str(": ");
        causes.push_str(&cause.to_string());
        source = cause.source();
    }
    tracing::error!(error = %format!("{error}{causes}"), "a request failed");
    Refused::new(
        Kind::Internal,
        "the server's log has the cause under the request's id",
    )
}

/// What is asked and not granted yet, in words and as what would grant it all.
fn grant_needed(words: &str, digest: String, new: &Capabilities, asks: &Capabilities) -> Refused {
    let wishes = wishes(new);
    let listed: Vec<&str> = wishes.iter().map(|wish| wish.words.as_str()).collect();
    let detail = format!(
        "{words}: {}; send what you grant of it as grant (velum plugin install --grant)",
        listed.join("; ")
    );
    let mut refused = Refused::new(Kind::GrantNeeded, detail);
    refused.problem.digest = Some(digest);
    refused.problem.grant = serde_json::to_value(asks).ok();
    refused.problem.asks = wishes
        .into_iter()
        .map(|wish| WishView {
            connector: wish.connector,
            role: wish.role,
            words: wish.words,
        })
        .collect();
    refused
}

fn no_room(words: String, refused: &[RefusalCount]) -> Refused {
    let mut problem = Refused::new(Kind::NoCapacity, words);
    problem.problem.refusals = refused
        .iter()
        .map(|count| RefusalView {
            reason: count.reason.clone(),
            words: count.words.clone(),
            hosts: count.hosts,
        })
        .collect();
    problem
}

impl From<PluginRefused> for Refused {
    fn from(refused: PluginRefused) -> Self {
        Self::from(&refused)
    }
}

impl From<&PluginRefused> for Refused {
    fn from(refused: &PluginRefused) -> Self {
        let words = refused.to_string();
        match refused {
            PluginRefused::Configuration { pointer, problem } => {
                Self::field(format!("/config{pointer}"), problem)
            }
            PluginRefused::NotLoaded(_) => Self::new(Kind::Unavailable, words).retry_after(RELOAD_S),
            PluginRefused::Server(_) => {
                tracing::error!(error = %words, "a component could not be kept");
                Self::new(
                    Kind::Unavailable,
                    "the server could not keep the component; its log says why",
                )
                .retry_after(RELOAD_S)
            }
            _ => Self::new(Kind::PluginRefused, words),
        }
    }
}

/// Loading a component from the cache takes well under a second, compiling one some seconds.
const RELOAD_S: u32 = 5;

impl From<QueryRejection> for Refused {
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection
            .source()
            .map_or_else(|| rejection.body_text(), ToString::to_string);
        match text.split_once(": ") {
            Some((name, problem)) if !name.contains(' ') => Self::parameter(name, plainly(problem)),
            _ => match text.split('`').nth(1) {
                Some(name) => Self::parameter(name, text.clone()),
                None => Self::new(Kind::BadRequest, text),
            },
        }
    }
}

impl From<WebSocketUpgradeRejection> for Refused {
    fn from(rejection: WebSocketUpgradeRejection) -> Self {
        Self::new(
            Kind::UpgradeRequired,
            format!("{}; connect with a WebSocket", rejection.body_text()),
        )
    }
}
