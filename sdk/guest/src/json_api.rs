//! Far sides that speak JSON over HTTP in Velum's own words: a change answers `200 {"done": …}` or
//! `202 {"working": {token, poll_after_ms, …}}`, anything else is `{code, unchanged, detail, retry_after_ms}`.
//!
//! [`Far`] is the wire, so that a native test can be the far side; [`Api`] reads and writes over it.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    codes::fault as code,
    common::{Fault, Job, Outcome, Target},
    connect::http::{Endpoint, Part, Request, Response},
};

/// What carries a request to the far side.
pub trait Far {
    /// Sends and waits.
    ///
    /// # Errors
    /// That of the connector. Any status is an answer.
    fn send(&self, request: Request) -> Result<Response, Fault>;
}

impl Far for Endpoint {
    fn send(&self, request: Request) -> Result<Response, Fault> {
        Self::send(self, &request)
    }
}

/// A far side's JSON API.
#[derive(Debug)]
pub struct Api<F> {
    far: F,
}

/// What a change came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed<T> {
    /// It is so.
    Done(T),
    /// It will be.
    Working(Job),
}

impl<T> Changed<T> {
    /// As the contract says it, with attributes made of what the far side said.
    pub fn outcome(self, attrs: impl FnOnce(T) -> Vec<crate::common::Attr>) -> Outcome {
        match self {
            Self::Done(said) => Outcome::Done(attrs(said)),
            Self::Working(job) => Outcome::Working(job),
        }
    }
}

#[derive(Deserialize)]
struct DoneBody<T> {
    done: T,
}

#[derive(Deserialize)]
struct WorkingBody {
    working: JobBody,
}

#[derive(Deserialize)]
struct JobBody {
    token: String,
    #[serde(default)]
    poll_after_ms: u32,
    permyriad: Option<u16>,
    #[serde(default)]
    cancellable: bool,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
struct Refusal {
    code: u16,
    #[serde(default)]
    unchanged: bool,
    #[serde(default)]
    detail: String,
    retry_after_ms: Option<u32>,
}

/// A body that says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Nothing {}

impl Api<Endpoint> {
    /// The API at the endpoint that the operator granted for a target under a role.
    ///
    /// # Errors
    /// That of `endpoint.open`.
    pub fn open(target: &Target, role: &str) -> Result<Self, Fault> {
        Ok(Self {
            far: Endpoint::open(target, role)?,
        })
    }
}

impl<F: Far> Api<F> {
    /// An API over any wire.
    #[must_use]
    pub const fn over(far: F) -> Self {
        Self { far }
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Response, Fault> {
        let headers = match &body {
            Some(_) => vec![("content-type".to_owned(), "application/json".to_owned())],
            None => Vec::new(),
        };
        self.far.send(Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            headers,
            body: body.map(Part::Bytes).into_iter().collect(),
            timeout_ms: 0,
        })
    }

    /// Reads; none when it is not there.
    ///
    /// # Errors
    /// What the far side said, or `nonsense` when it said something else.
    pub fn find<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<Option<T>, Fault> {
        let response = self.send("GET", path, query, None)?;
        match response.status {
            200 => parse(&response.body).map(Some),
            _ => match refusal(&response) {
                fault if fault.code == code::NOT_FOUND => Ok(None),
                // Reading changes nothing, whatever went wrong.
                fault => Err(Fault {
                    unchanged: true,
                    ..fault
                }),
            },
        }
    }

    /// Reads what must be there.
    ///
    /// # Errors
    /// As [`Api::find`], and `not-found`.
    pub fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Fault> {
        self.find(path, query)?
            .ok_or_else(|| Fault::not_found(format!("the far side has no {path}")))
    }

    /// Changes, without a body.
    ///
    /// # Errors
    /// What the far side said, or `nonsense` when it said something else.
    pub fn change<T: DeserializeOwned>(&self, method: &str, path: &str) -> Result<Changed<T>, Fault> {
        changed(&self.send(method, path, &[], None)?)
    }

    /// Changes, with a body.
    ///
    /// # Errors
    /// As [`Api::change`], and `invalid` when the body cannot be written.
    pub fn change_to<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Changed<T>, Fault> {
        let body =
            serde_json::to_vec(body).map_err(|error| Fault::invalid(format!("write a request: {error}")))?;
        changed(&self.send(method, path, &[], Some(body))?)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        Fault::new(
            code::NONSENSE,
            format!("the far side's answer cannot be read: {error}"),
        )
    })
}

fn changed<T: DeserializeOwned>(response: &Response) -> Result<Changed<T>, Fault> {
    match response.status {
        200 => parse::<DoneBody<T>>(&response.body).map(|body| Changed::Done(body.done)),
        202 => parse::<WorkingBody>(&response.body).map(|WorkingBody { working }| {
            Changed::Working(Job {
                token: working.token,
                poll_after_ms: working.poll_after_ms,
                permyriad: working.permyriad,
                cancellable: working.cancellable,
                note: working.note,
            })
        }),
        _ => Err(refusal(response)),
    }
}

/// What a far side's error means; without its words, what its status means.
fn refusal(response: &Response) -> Fault {
    if let Ok(said) = serde_json::from_slice::<Refusal>(&response.body) {
        return Fault {
            code: said.code,
            unchanged: said.unchanged,
            retry_after_ms: said.retry_after_ms,
            detail: said.detail,
            attrs: Vec::new(),
        };
    }
    let (code, unchanged) = match response.status {
        400 | 405 | 415 | 422 => (code::INVALID, true),
        401 | 403 => (code::DENIED, true),
        404 => (code::NOT_FOUND, true),
        409 | 429 => (code::BUSY, true),
        503 => (code::UNAVAILABLE, false),
        507 => (code::EXHAUSTED, true),
        _ => (code::FAILED, false),
    };
    Fault {
        unchanged,
        ..Fault::new(
            code,
            format!("the far side answered {} without saying why", response.status),
        )
    }
}

/// Whether a name may stand as one segment of a path as it is: letters, digits, `-`, `_`, `.`, and not dots alone.
#[must_use]
pub fn is_segment(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 128 && name.bytes().all(plain) && !name.bytes().all(|b| b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(u16, &'static str);

    impl Far for Always {
        fn send(&self, _: Request) -> Result<Response, Fault> {
            Ok(Response {
                status: self.0,
                headers: Vec::new(),
                body: self.1.as_bytes().to_vec(),
            })
        }
    }

    fn change(status: u16, body: &'static str) -> Result<Changed<Nothing>, Fault> {
        Api::over(Always(status, body)).change("PUT", "/x")
    }

    #[test]
    fn done_and_working_are_told_apart() {
        assert_eq!(
            change(200, r#"{"done": {"more": 1}}"#),
            Ok(Changed::Done(Nothing {}))
        );
        let working = r#"{"working": {"token": "t", "poll_after_ms": 50, "permyriad": 10, "cancellable": true, "note": "n"}}"#;
        let Ok(Changed::Working(job)) = change(202, working) else {
            panic!("it works on")
        };
        assert_eq!(
            (
                job.token.as_str(),
                job.poll_after_ms,
                job.permyriad,
                job.cancellable
            ),
            ("t", 50, Some(10), true)
        );
    }

    #[test]
    fn a_refusal_keeps_its_words_and_its_certainty() {
        let said = r#"{"code": 7, "unchanged": true, "detail": "stale", "retry_after_ms": 5}"#;
        let fault = change(409, said).unwrap_err();
        assert_eq!(
            (fault.code, fault.unchanged, fault.retry_after_ms),
            (7, true, Some(5))
        );
        assert_eq!(
            change(502, "<html>").unwrap_err(),
            Fault::new(code::FAILED, "the far side answered 502 without saying why")
        );
        assert_eq!(change(200, "[]").unwrap_err().code, code::NONSENSE);
    }

    #[test]
    fn what_is_not_there_is_none_and_reading_never_changes() {
        let find = |status, body| Api::over(Always(status, body)).find::<Nothing>("/x", &[]);
        assert_eq!(find(404, r#"{"code": 2}"#), Ok(None));
        assert!(find(500, r#"{"code": 15}"#).unwrap_err().unchanged);
    }

    #[test]
    fn names_that_would_leave_their_segment_are_known() {
        for name in ["", "..", "a/b", "a?b", "a%2fb", "ä"] {
            assert!(!is_segment(name), "{name}");
        }
        assert!(is_segment("z1-h0001") && is_segment("a.b"));
    }
}
