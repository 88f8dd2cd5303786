//! One exchange with the server: what is asked, what comes back, and when it is asked again.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, IF_MATCH, LOCATION, RETRY_AFTER},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{ANSWER_TIMEOUT, Client, ClientError, Delay, Filter, SLOW};

/// What ordinary answers are made of.
const JSON: &str = "application/json, application/problem+json";

/// Says who may be asked again without harm: a lost answer does not tell whether the server acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    /// Reading, or writing under an idempotency key: any loss may be followed by the same request.
    Always,
    /// A second time could meet what the first one did: only a connection that never stood is tried again.
    Unsent,
}

/// A request before it is sent; kept so that it can be sent again.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    body: Option<(&'static str, Bytes)>,
    key: Option<String>,
    accept: &'static str,
    if_match: Option<String>,
    timeout: Option<Duration>,
    repeat: Repeat,
}

impl Ask {
    /// Asks for something; changes nothing.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into(), Repeat::Always)
    }

    /// Makes or does something, once, however often it is sent.
    pub(crate) fn post(path: impl Into<String>, key: String) -> Self {
        Self {
            key: Some(key),
            ..Self::new(Method::POST, path.into(), Repeat::Always)
        }
    }

    /// Changes something.
    pub(crate) fn patch(path: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path.into(), Repeat::Unsent)
    }

    /// Puts bytes somewhere.
    pub(crate) fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path.into(), Repeat::Unsent)
    }

    /// Removes something.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path.into(), Repeat::Unsent)
    }

    fn new(method: Method, path: String, repeat: Repeat) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            body: None,
            key: None,
            accept: JSON,
            if_match: None,
            timeout: None,
            repeat,
        }
    }

    pub(crate) fn filter(mut self, filter: &Filter) -> Self {
        self.query.extend(filter.pairs().iter().cloned());
        self
    }

    pub(crate) fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn json(self, body: &impl Serialize) -> Result<Self, ClientError> {
        let bytes = serde_json::to_vec(body).map_err(|source| ClientError::Body { source })?;
        Ok(self.raw("application/json", Bytes::from(bytes)))
    }

    /// Wants the answer as another type.
    pub(crate) const fn accept(mut self, media_type: &'static str) -> Self {
        self.accept = media_type;
        self
    }

    pub(crate) fn raw(mut self, content_type: &'static str, bytes: Bytes) -> Self {
        self.body = Some((content_type, bytes));
        self
    }

    pub(crate) fn if_match(mut self, etag: Option<&str>) -> Self {
        self.if_match = etag.map(str::to_owned);
        self
    }

    /// Waits longer than usual for the answer.
    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// An answer that is no refusal.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|source| ClientError::Answer {
            status: self.status.as_u16(),
            source,
        })
    }

    pub(crate) fn bytes(self) -> Bytes {
        self.body
    }

    pub(crate) fn etag(&self) -> Option<String> {
        self.header(ETAG.as_str())
    }

    pub(crate) fn location(&self) -> Option<String> {
        self.header(LOCATION.as_str())
    }

    fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name)?.to_str().ok().map(str::to_owned)
    }
}

impl Client {
    /// Sends `ask` and reads the whole answer; sends it again after a lost connection, or when the server says that it
    /// is busy and when to come back, as far as the client's patience goes.
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Reply, ClientError> {
        let mut attempt = 0;
        loop {
            let (outcome, wait) = self.send_once(ask).await;
            let Err(error) = outcome else { return outcome };
            let again = match &error {
                ClientError::Unreachable { unsent, .. } => *unsent || ask.repeat == Repeat::Always,
                ClientError::Problem(_) => wait.is_some() && ask.repeat == Repeat::Always,
                _ => false,
            };
            if !again || attempt >= self.patience().attempts {
                return Err(error);
            }
            self.tell(Delay::TryingAgain(&error));
            tokio::time::sleep(self.patience().pause(attempt, wait)).await;
            attempt += 1;
        }
    }

    async fn send_once(&self, ask: &Ask) -> (Result<Reply, ClientError>, Option<Duration>) {
        let timeout = ask.timeout.unwrap_or(ANSWER_TIMEOUT);
        let mut sending = std::pin::pin!(self.request(ask).timeout(timeout).send());
        // Who asked to wait longer than usual knows why.
        let slow = ask.timeout.map_or(SLOW, |_| timeout);
        let sent = match tokio::time::timeout(slow, &mut sending).await {
            Ok(sent) => sent,
            Err(_) => {
                self.tell(Delay::NoAnswerYet);
                sending.await
            }
        };
        let response = match sent {
            Ok(response) => response,
            Err(source) => return (Err(self.lost(source)), None),
        };
        let status = response.status();
        let headers = response.headers().clone();
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(source) => return (Err(self.lost(source)), None),
        };
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return (
                Ok(Reply {
                    status,
                    headers,
                    body,
                }),
                None,
            );
        }
        let wait = headers
            .get(RETRY_AFTER)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.parse().ok());
        let busy = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        (
            Err(ClientError::refused(status, &body)),
            wait.filter(|_| busy).map(Duration::from_secs),
        )
    }

    /// The request of `ask` with the caller's token and without a limit of time.
    pub(crate) fn request(&self, ask: &Ask) -> reqwest::RequestBuilder {
        let mut request = self
            .http()
            .request(ask.method.clone(), self.url(&ask.path))
            .query(&ask.query);
        request = request.header(ACCEPT, ask.accept);
        if let Some(token) = self.token() {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some((content_type, bytes)) = &ask.body {
            request = request.header(CONTENT_TYPE, *content_type).body(bytes.clone());
        }
        if let Some(key) = &ask.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(etag) = &ask.if_match {
            request = request.header(IF_MATCH, etag);
        }
        request
    }

    pub(crate) fn lost(&self, source: reqwest::Error) -> ClientError {
        ClientError::Unreachable {
            server: self.server().to_owned(),
            unsent: source.is_connect(),
            source,
        }
    }
}

/// How long the client goes on when the server does not answer or is busy.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How often a request is repeated, at most.
    pub attempts: u32,
    /// The pause before the first repetition; doubled for each further one.
    pub pause: Duration,
    /// No pause is longer, whatever the server asks for.
    pub longest: Duration,
}

impl Patience {
    /// Gives up at the first loss.
    pub const NONE: Self = Self {
        attempts: 0,
        pause: Duration::ZERO,
        longest: Duration::ZERO,
    };

    fn pause(&self, attempt: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.pause.saturating_mul(1 << attempt.min(10));
        asked.unwrap_or(doubled).min(self.longest)
    }
}

impl Default for Patience {
    /// About two seconds in all: a server that restarts with a warm cache is ready in that time.
    fn default() -> Self {
        Self {
            attempts: 4,
            pause: Duration::from_millis(150),
            longest: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_the_servers_word_counts_within_the_limit() {
        let patience = Patience::default();
        assert_eq!(patience.pause(0, None), Duration::from_millis(150));
        assert_eq!(patience.pause(2, None), Duration::from_millis(600));
        assert_eq!(
            patience.pause(0, Some(Duration::from_secs(1))),
            Duration::from_secs(1)
        );
        assert_eq!(patience.pause(40, None), Duration::from_secs(5));
        assert_eq!(
            patience.pause(0, Some(Duration::from_secs(3600))),
            Duration::from_secs(5)
        );
    }
}
