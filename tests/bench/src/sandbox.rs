//! A plugin runtime as the server has it, in a directory of its own.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::Context as _;
use uuid::Uuid;
use velum_connector::{Connections, http::HttpConnector};
use velum_model::{
    chance::Ids,
    port::plugins::Plugins as _,
    time::{Clock, Timestamp},
};
use velum_runtime::{Limits, Runtime, RuntimeOptions};

use crate::clients::median;

struct Wall(Instant);
impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(i64::try_from(self.0.elapsed().as_micros()).unwrap_or(i64::MAX))
    }
}

struct Fixed;
impl Ids for Fixed {
    fn uuid(&self) -> Uuid {
        Uuid::nil()
    }
    fn seed(&self) -> u64 {
        0
    }
    fn secret(&self) -> [u8; 32] {
        [7; 32]
    }
}

/// Where the programs and components of this build are.
pub struct Built {
    /// Programs.
    pub programs: PathBuf,
    /// Components.
    pub plugins: PathBuf,
}

impl Built {
    /// A component and its manifest.
    ///
    /// # Errors
    /// It was not built.
    pub fn plugin(&self, name: &str) -> anyhow::Result<(Vec<u8>, String)> {
        let read = |extension: &str| {
            let path = self.plugins.join(format!("{name}.{extension}"));
            std::fs::read(&path).with_context(|| format!("{} was not built", path.display()))
        };
        Ok((read("wasm")?, String::from_utf8(read("toml")?)?))
    }

    /// A runtime; `here` runs drivers in this process.
    ///
    /// # Errors
    /// It cannot start.
    pub fn runtime(&self, directory: &Path, here: bool) -> anyhow::Result<Arc<Runtime>> {
        let http = HttpConnector::new()?;
        let options = RuntimeOptions {
            directory: directory.to_owned(),
            compile_command: vec![self.programs.join("velumd").into()],
            clock: Arc::new(Wall(Instant::now())),
            ids: Arc::new(Fixed),
            limits: Limits::default(),
            nodes: Connections::new(http.clone()),
            http,
            state: None,
            uids: None,
        };
        Ok(if here {
            Runtime::start_without_processes(options)?
        } else {
            Runtime::start(options)?
        })
    }
}

/// Microseconds of a call that asks nothing of the server, the median: `describe` of a driver.
///
/// # Errors
/// It fails.
pub async fn describe_micros(runtime: &Runtime, built: &Built, calls: u32) -> anyhow::Result<f64> {
    let (component, manifest) = built.plugin("hypervisor-sim")?;
    let inspected = runtime.install(component, Some(manifest)).await?;
    let driver = runtime.hypervisor(&inspected.digest)?;
    let mut took = Vec::new();
    for _ in 0..calls {
        let began = Instant::now();
        driver.describe().await?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(took))
}

/// Microseconds until a fresh instance of a policy is configured and can be asked, the median.
///
/// # Errors
/// It fails.
pub fn instance_micros(
    runtime: &Runtime,
    digest: &velum_model::plugin::Digest,
    times: u32,
) -> anyhow::Result<f64> {
    let config = serde_json::json!({});
    let mut took = Vec::new();
    for _ in 0..times {
        let began = Instant::now();
        let policy = runtime.policy(digest, &config)?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
        drop(policy);
    }
    Ok(median(took))
}
