//! What can go wrong between the caller and the server.

use reqwest::StatusCode;
use velum_wire::Problem;

/// Why there is no answer to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server's address is none that this client can use.
    #[error("'{server}' is no address of a server: {why}")]
    Server {
        /// What was given.
        server: String,
        /// Why not.
        why: String,
    },
    /// The token has characters that cannot stand in a header.
    #[error("the token has characters that no token has")]
    Token,
    /// No connection, or it was lost before the answer was there.
    #[error("cannot reach the server at {server}")]
    Unreachable {
        /// Its address.
        server: String,
        /// Whether it is certain that the request was not sent.
        unsent: bool,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// The server refused and says why.
    #[error("{}", words(.0))]
    Problem(Box<Problem>),
    /// An answer that this client does not know.
    #[error("could not read the server's answer (status {status})")]
    Answer {
        /// Its status.
        status: u16,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// Something that no server of this kind does.
    #[error("{what}")]
    Unexpected {
        /// What it was.
        what: String,
    },
    /// The request could not be written as JSON.
    #[error("could not write the request")]
    Body {
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The console's connection broke.
    #[error("the console's connection broke")]
    Console {
        /// How.
        #[source]
        source: Box<tokio_tungstenite::tungstenite::Error>,
    },
    /// A file that is uploaded could not be read.
    #[error("could not read what is to be uploaded")]
    Source {
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

fn words(problem: &Problem) -> String {
    let mut text = problem.detail.clone().unwrap_or_else(|| problem.title.clone());
    for error in &problem.errors {
        // The detail of a problem of one field says it already.
        if text.contains(&error.problem) {
            continue;
        }
        text.push_str(&format!("; {}: {}", error.pointer, error.problem));
    }
    text
}

impl ClientError {
    pub(crate) fn unexpected(what: impl Into<String>) -> Self {
        Self::Unexpected { what: what.into() }
    }

    /// What an answer with an error status says.
    pub(crate) fn refused(status: StatusCode, body: &[u8]) -> Self {
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => Self::Problem(Box::new(problem)),
            Err(_) => Self::unexpected(format!(
                "the server answered {status} without saying why: is there another server or a proxy at this address?"
            )),
        }
    }

    /// The problem, when the server refused.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// The status of the refusal, when the server refused.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.problem().map(|p| p.status)
    }

    /// Whether the refusal is of this type: the last part of its URI (`no-capacity`).
    #[must_use]
    pub fn is(&self, kind: &str) -> bool {
        self.problem()
            .is_some_and(|p| p.kind.rsplit('/').next() == Some(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_which_fields_are_wrong() {
        let body = br#"{"type":"/problems/invalid","title":"t","status":422,"detail":"d",
            "errors":[{"pointer":"/name","problem":"is empty"}]}"#;
        let error = ClientError::refused(StatusCode::UNPROCESSABLE_ENTITY, body);
        assert!(error.is("invalid") && error.status() == Some(422));
        assert_eq!(error.to_string(), "d; /name: is empty");
        let once = br#"{"type":"/problems/invalid","title":"t","status":422,"detail":"/name: is empty",
            "errors":[{"pointer":"/name","problem":"is empty"}]}"#;
        let error = ClientError::refused(StatusCode::UNPROCESSABLE_ENTITY, once);
        assert_eq!(error.to_string(), "/name: is empty");
        assert!(matches!(
            ClientError::refused(StatusCode::BAD_GATEWAY, b"<html>"),
            ClientError::Unexpected { .. }
        ));
    }
}
