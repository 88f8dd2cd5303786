//! Typed client of Velum's API.
//!
//! ```no_run
//! # async fn example() -> Result<(), velum_client::ClientError> {
//! use velum_client::{Client, Filter};
//!
//! let velum = Client::new("http://127.0.0.1:7070", Some("the token"))?;
//! for zone in velum.zones().all(&Filter::new()).await? {
//!     println!("{}", zone.name);
//! }
//! # Ok(()) }
//! ```
//!
//! Every collection of the API is a method of [`Client`] that answers a [`Collection`] with the verbs `list`, `all`,
//! `stream`, `get`, `create`, `update` and `delete`, as far as the resource has them; what else a resource can do
//! (`start`, `attach`, `upload`, …) is a method of its collection. A request that makes or does something carries an
//! idempotency key, so that it is safe to repeat after a lost connection, and is repeated.

mod collection;
mod compute_host;
mod console;
mod decision;
mod error;
mod event;
mod filter;
mod http;
mod instance;
mod node;
mod operation;
mod plugin;
mod policy;
mod publisher;
mod resource;
mod template;
mod volume;

use std::{sync::Arc, time::Duration};

pub use collection::{Answered, Collection, Fetched};
pub use console::{Console, ConsoleFrame, ConsoleInput, ConsoleOutput};
pub use error::ClientError;
pub use event::EventStream;
pub use filter::Filter;
pub use http::Patience;
pub use operation::Outcome;
pub use resource::*;
pub use velum_wire as wire;

/// A connection to one server on behalf of one caller. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    token: Option<String>,
    http: reqwest::Client,
    patience: Patience,
    hear: Option<Hear>,
}

type Hear = Arc<dyn Fn(Delay<'_>) + Send + Sync>;

/// Why an answer takes longer than usual.
#[derive(Clone, Copy, Debug)]
pub enum Delay<'e> {
    /// None has come yet, for [`SLOW`].
    NoAnswerYet,
    /// The request failed so and is sent again.
    TryingAgain(&'e ClientError),
}

/// Whoever waits for so long wants to know that the program does, too.
pub const SLOW: Duration = Duration::from_secs(5);

/// The token is a secret: it is not shown.
impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("server", &self.server)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// A connection that does not stand after this is taken for lost.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest that one ordinary answer may take: the server's own limit for a request is 30 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

impl Client {
    /// A client of the server at `server` (`http://host:port`) with the caller's token.
    ///
    /// # Errors
    /// [`ClientError::Server`] when `server` is no such address; [`ClientError::Token`] when the token cannot stand in
    /// a header.
    pub fn new(server: &str, token: Option<&str>) -> Result<Self, ClientError> {
        Self::with_patience(server, token, Patience::default())
    }

    /// The same with a patience of the caller's choice.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_patience(server: &str, token: Option<&str>, patience: Patience) -> Result<Self, ClientError> {
        let not_an_address = |why: &str| ClientError::Server {
            server: server.to_owned(),
            why: why.to_owned(),
        };
        let url = reqwest::Url::parse(server).map_err(|source| {
            let why = format!("{source}; write it as http://HOST:PORT");
            not_an_address(&why)
        })?;
        match url.scheme() {
            "http" => {}
            "https" => {
                return Err(not_an_address(
                    "this client speaks plain http; put a proxy in between for https",
                ));
            }
            _ => return Err(not_an_address("it does not begin with http://")),
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(not_an_address("it names no host"));
        }
        let token = token.map(str::trim).filter(|t| !t.is_empty());
        if token.is_some_and(|t| !t.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(ClientError::Token);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("velum-client/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| not_an_address(&source.to_string()))?;
        Ok(Self {
            shared: Arc::new(Shared {
                server: server.trim_end_matches('/').to_owned(),
                token: token.map(str::to_owned),
                http,
                patience,
                hear: None,
            }),
        })
    }

    /// The same client, which tells `hear` whenever an answer takes longer than usual.
    #[must_use]
    pub fn telling(&self, hear: impl Fn(Delay<'_>) + Send + Sync + 'static) -> Self {
        let shared = &self.shared;
        Self {
            shared: Arc::new(Shared {
                server: shared.server.clone(),
                token: shared.token.clone(),
                http: shared.http.clone(),
                patience: shared.patience,
                hear: Some(Arc::new(hear)),
            }),
        }
    }

    pub(crate) fn tell(&self, delay: Delay<'_>) {
        if let Some(hear) = &self.shared.hear {
            hear(delay);
        }
    }

    /// The address that was given, without a slash at its end.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.shared.server
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.shared.token.as_deref()
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.shared.http
    }

    pub(crate) fn patience(&self) -> &Patience {
        &self.shared.patience
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.shared.server)
    }

    /// A key under which the server does something once: 128 bits of chance.
    pub(crate) fn new_key() -> String {
        format!("{:032x}", rand::random::<u128>())
    }

    /// The collection of a resource named by its type.
    #[must_use]
    pub const fn collection<R: Resource>(&self) -> Collection<'_, R> {
        Collection::new(self)
    }

    /// Anything by its path (`/v1/zones`), as JSON.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn get_json(&self, path: &str) -> Result<serde_json::Value, ClientError> {
        self.send(&http::Ask::get(path)).await?.json()
    }

    /// Whether the server takes requests: `GET /readyz`, asked once.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when nothing answers; a problem or [`ClientError::Unexpected`] when the server is
    /// not ready.
    pub async fn ready(&self) -> Result<(), ClientError> {
        let response = self
            .http()
            .get(self.url("/readyz"))
            .timeout(CONNECT_TIMEOUT)
            .send()
            .await
            .map_err(|source| self.lost(source))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let body = response.bytes().await.map_err(|source| self.lost(source))?;
        Err(ClientError::refused(status, &body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_token_that_cannot_work_is_refused_before_anything_is_sent() {
        for bad in ["", "localhost:7070", "ftp://x", "https://x", "http://"] {
            assert!(
                matches!(Client::new(bad, None), Err(ClientError::Server { .. })),
                "{bad}"
            );
        }
        assert!(matches!(
            Client::new("http://x", Some("a\nb")),
            Err(ClientError::Token)
        ));
        let client = Client::new("http://x:1/", Some(" t\n")).expect("a good address");
        assert_eq!((client.server(), client.token()), ("http://x:1", Some("t")));
        assert!(!format!("{client:?}").contains("\"t\""));
    }
}
