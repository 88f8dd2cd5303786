//! Requests to the array, and what its answers mean.

use serde::{Serialize, de::DeserializeOwned};
use velum_guest::{
    codes::fault as code,
    common::Fault,
    connect::http::{Part, Request, Response},
    json_api::Far,
};

use crate::words::RefusalBody;

/// When to ask again of what the array is busy with: its copies take seconds.
const BUSY_MS: u32 = 1000;

/// The array, under both roles of plugin.toml.
#[derive(Debug)]
pub struct Rest<F> {
    /// For reading.
    pub look: F,
    /// For changing.
    pub change: F,
}

/// A refusal with the array's own word for it.
#[derive(Debug)]
pub struct Refused {
    /// The array's word; empty when it said none.
    pub word: String,
    /// What it means.
    pub fault: Fault,
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self {
            word: String::new(),
            fault,
        }
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        refused.fault
    }
}

/// What a request came to: what it answers, or why it was not done.
pub type Answered<T> = Result<T, Refused>;

fn request(method: &str, path: &str) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout_ms: 0,
    }
}

impl<F: Far> Rest<F> {
    /// Reads.
    ///
    /// # Errors
    /// What the array said; nothing changed, whatever it is.
    pub fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Answered<T> {
        let query = query
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let asked = Request {
            query: query.collect(),
            ..request("GET", path)
        };
        let unchanged = |mut refused: Refused| {
            refused.fault.unchanged = true;
            refused
        };
        answered(self.look.send(asked)?)
            .and_then(|response| parse(&response))
            .map_err(unchanged)
    }

    /// Reads what may not be there.
    ///
    /// # Errors
    /// As [`Rest::get`].
    pub fn find<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<Option<T>, Fault> {
        match self.get(path, query) {
            Ok(found) => Ok(Some(found)),
            Err(refused) if refused.fault.code == code::NOT_FOUND => Ok(None),
            Err(refused) => Err(refused.fault),
        }
    }

    /// Changes, with a body, and reads the answer.
    ///
    /// # Errors
    /// What the array said, or `nonsense` when it said something else.
    pub fn change<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Answered<T> {
        let body =
            serde_json::to_vec(body).map_err(|error| Fault::invalid(format!("write a request: {error}")))?;
        parse(&self.send(method, path, vec![Part::Bytes(body)])?)
    }

    /// Changes, with a body in pieces or none, and passes over the answer.
    ///
    /// # Errors
    /// What the array said.
    pub fn act(&self, method: &str, path: &str, body: Vec<Part>) -> Answered<()> {
        self.send(method, path, body).map(drop)
    }

    fn send(&self, method: &str, path: &str, body: Vec<Part>) -> Answered<Response> {
        let headers = match body.as_slice() {
            [] => Vec::new(),
            _ => vec![("content-type".to_owned(), "application/json".to_owned())],
        };
        answered(self.change.send(Request {
            headers,
            body,
            ..request(method, path)
        })?)
    }
}

fn parse<T: DeserializeOwned>(response: &Response) -> Answered<T> {
    serde_json::from_slice(&response.body).map_err(|error| {
        Refused::from(Fault::new(
            code::NONSENSE,
            format!("the array's answer cannot be read: {error}"),
        ))
    })
}

fn answered(response: Response) -> Answered<Response> {
    if (200..300).contains(&response.status) {
        Ok(response)
    } else {
        Err(refusal(&response))
    }
}

/// What an error of the array means. Its words say whether anything changed: a request that it understood and refused
/// changed nothing; of one that failed inside it nobody knows.
fn refusal(response: &Response) -> Refused {
    let status = response.status;
    let said = serde_json::from_slice::<RefusalBody>(&response.body).map(|body| body.error);
    let (word, words) = said.map_or_else(
        |_| (String::new(), format!("status {status}, without saying why")),
        |error| (error.code, error.message),
    );
    let detail = format!("the array says: {words}");
    let fault = match (status, word.as_str()) {
        (401 | 403, _) => Fault::unchanged(
            code::DENIED,
            format!("{detail}: check the credential of the pool, and what it may do on the array"),
        ),
        (_, "POOL_FULL") => Fault::unchanged(code::EXHAUSTED, detail),
        (404, _) => Fault::unchanged(code::NOT_FOUND, detail),
        (409 | 423 | 429, _) => Fault::unchanged(code::BUSY, detail).retry_after(BUSY_MS),
        (400..500, _) => Fault::unchanged(code::INVALID, detail),
        (503, _) => Fault::new(code::UNREACHABLE, detail).retry_after(BUSY_MS),
        _ => Fault::new(code::FAILED, detail),
    };
    Refused { word, fault }
}
