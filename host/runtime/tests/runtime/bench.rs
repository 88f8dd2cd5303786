//! A runtime in a directory of its own.

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;
use velum_connector::{Connections, http::HttpConnector};
use velum_model::{
    chance::Ids,
    id::RunId,
    port::{
        Call, Effect, Fence, Target, TargetKind,
        hypervisor::RunHandle,
        plugins::{Inspected, PluginRefused, Plugins},
    },
    time::{Clock, Timestamp},
};
use velum_runtime::{Limits, Runtime, RuntimeOptions, Uids};

/// A clock that stands until it is moved.
#[derive(Default)]
pub struct Hands(AtomicI64);

impl Hands {
    pub fn forward(&self, millis: i64) {
        self.0.fetch_add(millis * 1000, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Chance that counts.
#[derive(Default)]
pub struct Counting(AtomicU64);

impl Ids for Counting {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.seed()) + 1)
    }
    fn seed(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
    fn secret(&self) -> [u8; 32] {
        [u8::try_from(self.seed() % 251).unwrap(); 32]
    }
}

pub struct Bench {
    pub directory: TempDir,
    pub clock: Arc<Hands>,
    pub limits: Limits,
    pub compile_command: Vec<OsString>,
    pub uids: Option<Arc<Uids>>,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            clock: Arc::default(),
            limits: Limits::default(),
            compile_command: vec![env!("CARGO_BIN_EXE_velum-compile").into()],
            uids: None,
        }
    }

    /// A server's life: the next call is its restart.
    pub fn start(&self) -> Arc<Runtime> {
        let http = HttpConnector::new().unwrap();
        Runtime::start(RuntimeOptions {
            directory: self.plugins(),
            compile_command: self.compile_command.clone(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            ids: Arc::new(Counting::default()),
            limits: self.limits.clone(),
            nodes: Connections::new(http.clone()),
            http,
            state: None,
            uids: self.uids.clone(),
        })
        .unwrap()
    }

    pub fn plugins(&self) -> PathBuf {
        self.directory.path().join("plugins")
    }

    pub async fn install(&self, component: Vec<u8>) -> Result<Inspected, PluginRefused> {
        self.start().install(component, None).await
    }
}

/// The `plugin.toml` of a driver that is granted everything that its world may ask for.
pub const DRIVER_TOML: &str = r#"
name = "driver-under-test"
version = "0.1.0"
world = "hypervisor-driver"
[capabilities.http.api]
methods = ["GET", "POST"]
paths = ["/v1/"]
[capabilities.libvirt]
"#;

pub fn compute_host(endpoint: Option<String>) -> Target {
    Target {
        kind: TargetKind::ComputeHost,
        id: Uuid::from_u128(0xc0de),
        config: json!({}),
        node: None,
        endpoint,
        secret: None,
    }
}

pub fn call(target: Target, deadline_ms: u32) -> Call {
    Call {
        target,
        fence: Fence {
            shard: Uuid::from_u128(1),
            epoch: 7,
            object: Uuid::from_u128(2),
            generation: 3,
        },
        effect: Effect {
            id: Uuid::from_u128(3),
            attempt: 0,
            deadline_ms,
        },
    }
}

pub fn run() -> RunHandle {
    RunHandle {
        id: RunId::from_uuid(Uuid::from_u128(4)),
        generation: 3,
    }
}

pub fn no_config() -> Value {
    json!({})
}
