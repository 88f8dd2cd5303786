//! The API over a store of its own, without a network.

#![expect(
    clippy::expect_used,
    reason = "a bench that cannot be set up is a failed test"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tower::ServiceExt;
use uuid::Uuid;
use velum_api::{ApiState, Bounds, Peers};
use velum_model::{
    Timestamp, TokenId,
    chance::Ids,
    fault::{Fault, code},
    grant::Capabilities,
    plugin::Digest,
    port::{
        hypervisor::HypervisorDriver,
        image::ImageStore,
        node::{Node, Nodes},
        placement::PlacementPolicy,
        plugins::{ConfigPart, Inspected, Installing, PluginRefused, PluginStats, Plugins},
        storage::StorageProvider,
    },
    tenancy::Scope,
    time::Clock,
};
use velum_service::{Parts, Services, Watch};
use velum_store::{Membership, Store, StoreOptions};

/// The token that the store knows.
pub const TOKEN: &str = "a-token-of-the-test";

#[derive(Default)]
struct Counting {
    ids: AtomicU64,
    micros: AtomicI64,
}

impl Ids for Counting {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(self.seed()))
    }
    fn seed(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed) + 1
    }
    fn secret(&self) -> [u8; 32] {
        [7; 32]
    }
}

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000 + self.micros.fetch_add(1000, Ordering::Relaxed))
    }
}

/// No plugin is installed, and none can be.
struct NoPlugins;

#[async_trait]
impl Plugins for NoPlugins {
    async fn inspect(&self, _: Vec<u8>, _: Option<String>) -> Result<Inspected, PluginRefused> {
        Err(PluginRefused::Invalid("the test takes none".into()))
    }
    async fn install_granted(&self, _: Installing) -> Result<Inspected, PluginRefused> {
        Err(PluginRefused::Invalid("the test takes none".into()))
    }
    async fn load_granted(
        &self,
        digest: &Digest,
        _: Option<Capabilities>,
    ) -> Result<Inspected, PluginRefused> {
        Err(PluginRefused::NotLoaded(digest.clone()))
    }
    async fn remove(&self, _: &Digest) -> Result<(), PluginRefused> {
        Ok(())
    }
    fn check_config(&self, digest: &Digest, _: ConfigPart, _: &Value) -> Result<(), PluginRefused> {
        Err(PluginRefused::NotLoaded(digest.clone()))
    }
    fn hypervisor(&self, digest: &Digest) -> Result<Arc<dyn HypervisorDriver>, PluginRefused> {
        Err(PluginRefused::NotLoaded(digest.clone()))
    }
    fn storage(&self, digest: &Digest) -> Result<Arc<dyn StorageProvider>, PluginRefused> {
        Err(PluginRefused::NotLoaded(digest.clone()))
    }
    fn policy(&self, digest: &Digest, _: &Value) -> Result<Box<dyn PlacementPolicy>, PluginRefused> {
        Err(PluginRefused::NotLoaded(digest.clone()))
    }
    fn stats(&self) -> Vec<PluginStats> {
        Vec::new()
    }
}

/// No node answers.
struct NoNodes;

fn away<T>() -> Result<T, Fault> {
    Err(Fault::unchanged(code::UNREACHABLE, "nobody is there"))
}

impl Nodes for NoNodes {
    fn node(&self, _: &str) -> Result<Arc<dyn Node>, Fault> {
        away()
    }
    fn directory_store(&self, _: &str, _: &str) -> Result<Arc<dyn ImageStore>, Fault> {
        away()
    }
    fn http_store(&self, _: &str) -> Result<Arc<dyn ImageStore>, Fault> {
        away()
    }
}

/// The API over a store of its own.
pub struct Bench {
    /// What it is over.
    pub store: Store,
    router: Router,
    pub membership: Option<Membership>,
    _directory: Arc<tempfile::TempDir>,
}

/// Long in calls of the clock, of which each takes a millisecond, and short in looks at the shards, which are real.
const LEASE: Duration = Duration::from_secs(2);

impl Bench {
    /// A fresh one.
    pub async fn new() -> Self {
        let directory = Arc::new(tempfile::tempdir().expect("a directory"));
        let bench = Self::over(directory, "test", None).await;
        bench.know_token().await;
        bench
    }

    /// Two servers on one database, each at an address of its own.
    pub async fn two() -> [Self; 2] {
        let directory = Arc::new(tempfile::tempdir().expect("a directory"));
        let first = Self::served(Arc::clone(&directory), "first").await;
        first.know_token().await;
        [first, Self::served(directory, "second").await]
    }

    async fn know_token(&self) {
        let token = TokenId::from_uuid(Uuid::from_u128(1));
        let hash = Sha256::digest(TOKEN.as_bytes());
        let stored = self.store.insert_token(token, "admin", &hash, Scope::All).await;
        stored.expect("a token");
    }

    async fn served(directory: Arc<tempfile::TempDir>, called: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let bench = Self::over(directory, called, Some(&address)).await;
        let router = bench.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        bench
    }

    async fn over(directory: Arc<tempfile::TempDir>, called: &str, address: Option<&str>) -> Self {
        let counting = Arc::new(Counting::default());
        // Ids of two servers are apart.
        counting.ids.store(
            called.bytes().map(u64::from).sum::<u64>() << 32,
            Ordering::Relaxed,
        );
        let watch = Watch::new();
        let options = StoreOptions {
            url: format!("sqlite:{}", directory.path().join("velum.db").display()),
            holder: called.into(),
            clock: counting.clone(),
            ids: counting.clone(),
            observer: watch.clone(),
            lease_ms: 60_000,
        };
        let store = Store::open(options).await.expect("a store");
        let membership = match address {
            Some(address) => Some(store.join(address, LEASE).await.expect("joined")),
            None => {
                store.take_over(false).await.expect("the shards");
                None
            }
        };
        let parts = Parts {
            store: store.clone(),
            plugins: Arc::new(NoPlugins),
            nodes: Arc::new(NoNodes),
            clock: counting.clone(),
            ids: counting.clone(),
            watch,
            histories: velum_store::Histories::nowhere(),
            settings: velum_service::Settings {
                unsigned: velum_service::Unsigned::Allow,
                ..velum_service::Settings::default()
            },
        };
        let state = ApiState {
            peers: address.map(|_| Peers::new().expect("a client")),
            services: Services::start(parts).await.expect("the use cases"),
            ids: counting,
            metrics: None,
            stop: tokio_util::sync::CancellationToken::new(),
            bounds: Arc::new(Bounds::default()),
        };
        Self {
            store,
            router: velum_api::router(state),
            membership,
            _directory: directory,
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, ask: Ask) -> Answer {
        let response = self.router.clone().oneshot(ask.build()).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 16 << 20).await.expect("a body");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer {
            status: parts.status,
            headers: parts.headers,
            text,
            json,
        }
    }

    /// Sends a request and answers the type of its answer alone: streams do not end.
    pub async fn kind_of(&self, ask: Ask) -> String {
        let response = self.router.clone().oneshot(ask.build()).await.expect("an answer");
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|kind| kind.to_str().ok());
        kind.unwrap_or_default().to_owned()
    }
}

/// An answer, read.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    headers: HeaderMap,
    /// Its body.
    pub text: String,
    /// Its body as JSON; null if it is none.
    pub json: Value,
}

impl Answer {
    /// A header of it.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Checks that it is this problem, well formed.
    pub fn is_problem(&self, status: StatusCode, kind: &str) {
        println!("{}", self.text);
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.json["type"], kind, "{}", self.text);
        assert_eq!(self.json["status"], status.as_u16());
        assert!(
            self.json["title"].is_string() && self.json["detail"].is_string(),
            "{}",
            self.text
        );
    }
}

/// A request to be sent.
pub struct Ask {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A request with the known token.
pub fn ask(method: Method, path: &str) -> Ask {
    let token = ("authorization".to_owned(), format!("Bearer {TOKEN}"));
    Ask {
        method,
        path: path.to_owned(),
        headers: vec![token],
        body: Vec::new(),
    }
}

impl Ask {
    /// Without any header so far.
    pub fn without_token(mut self) -> Self {
        self.headers.clear();
        self
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body.
    pub fn body(self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut with = self.header("content-type", kind);
        with.body = body.into();
        with
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    fn build(self) -> Request<Body> {
        let mut request = Request::builder().method(self.method).uri(self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Body::from(self.body)).expect("a request")
    }
}
