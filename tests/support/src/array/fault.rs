//! Misbehaviour on request, which proves that it happened.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Response, StatusCode},
    response::IntoResponse as _,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::api::refusal;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// It answers late.
    Slow,
    /// It answers 500 and does nothing.
    Fail,
    /// It does what was asked, and the answer is lost on its way.
    Lose,
}

/// A fault that waits for requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Of requests with this method.
    pub method: String,
    /// And a path that ends so, below `/api/v2`.
    pub path_ends: String,
    /// How late, milliseconds (slow).
    #[serde(default)]
    pub delay_ms: u64,
    /// How many requests.
    pub times: u32,
}

/// A request that met a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// What went wrong.
    pub kind: FaultKind,
    /// The request's method and path.
    pub request: String,
}

/// Faults that wait, and those that happened.
#[derive(Debug, Default)]
pub(super) struct Faults {
    waiting: Mutex<Vec<Fault>>,
    hits: Mutex<Vec<Hit>>,
}

impl Faults {
    pub(super) fn arm(&self, fault: Fault) {
        self.waiting.lock().push(fault);
    }

    pub(super) fn hits(&self) -> Vec<Hit> {
        self.hits.lock().clone()
    }

    /// The fault that a request meets.
    pub(super) fn meet(&self, method: &str, path: &str) -> Option<Fault> {
        let mut waiting = self.waiting.lock();
        let found = waiting
            .iter_mut()
            .find(|fault| fault.times > 0 && fault.method == method && path.ends_with(&fault.path_ends))?;
        found.times -= 1;
        self.hits.lock().push(Hit {
            kind: found.kind,
            request: format!("{method} {path}"),
        });
        Some(found.clone())
    }
}

/// Answers a request that meets a fault.
pub(super) async fn misbehave<F>(fault: Fault, answer: F) -> Response<Body>
where
    F: Future<Output = Response<Body>>,
{
    match fault.kind {
        FaultKind::Slow => {
            tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
            answer.await
        }
        FaultKind::Fail => refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL",
            "disk shelf 2 is gone",
        ),
        FaultKind::Lose => {
            answer.await;
            // A length is promised and the connection breaks before it: whoever waits learns nothing.
            let broken =
                futures::stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("the line was cut"))]);
            ([("content-length", "1000")], Body::from_stream(broken)).into_response()
        }
    }
}
