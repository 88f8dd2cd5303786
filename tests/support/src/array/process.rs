//! The array as a process of its own, and a test's hand on it.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Fault, Hit, Left};
use crate::{
    process::{Process, program},
    server::free_port,
};

/// `tgtd` and a listener come up in tenths of a second.
const UP_WITHIN: Duration = Duration::from_secs(20);

/// A running array; it ends with this, its luns with the directory.
#[derive(Debug)]
pub struct ArrayProcess {
    _process: Process,
    /// Origin of its REST API.
    pub url: String,
    /// Where its targets are reached.
    pub portal: String,
    /// Where its luns lie, by their ids.
    pub luns: PathBuf,
    /// File with the credential for the API, as a pool names it.
    pub credential: PathBuf,
}

impl ArrayProcess {
    /// What all names of its targets begin with.
    pub const IQN_PREFIX: &str = "iqn.2026-01.example.quarry:";

    /// Starts an array below `directory`.
    ///
    /// # Errors
    /// When it does not come up; with what it printed.
    pub async fn start(name: &str, directory: &Path) -> anyhow::Result<Self> {
        let home = directory.join(format!("array-{name}"));
        std::fs::create_dir_all(&home).context("could not make the array's directory")?;
        // Of this run alone: nothing outside of it could know.
        let token = format!("{name}-{}-token", std::process::id());
        let credential = home.join("credential");
        std::fs::write(&credential, format!("header X-Auth-Token {token}\n"))
            .and_then(|()| std::fs::set_permissions(&credential, Permissions::from_mode(0o600)))
            .context("could not write the credential")?;
        let (port, portal_port) = (free_port()?, free_port()?);
        let portal = format!("127.0.0.1:{portal_port}");
        let mut command = Command::new(program("velum-array")?);
        command
            .args(["--name", name, "--portal", &portal])
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .arg("--directory")
            .arg(&home)
            .env("VELUM_ARRAY_TOKEN", token);
        let process = Process::start("velum-array", &mut command, &directory.join("velum-array.log"))?;
        let mut array = Self {
            _process: process,
            url: format!("http://127.0.0.1:{port}"),
            portal,
            luns: home.join("luns"),
            credential,
        };
        let began = Instant::now();
        while array.left().await.is_err() {
            anyhow::ensure!(
                array._process.is_running() && began.elapsed() < UP_WITHIN,
                "velum-array does not come up; it printed:\n{}",
                array._process.printed()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(array)
    }

    /// The settings of a pool of `storage-array` on it.
    #[must_use]
    pub fn pool_config(&self) -> serde_json::Value {
        json!({ "pool": "tier1", "portals": [self.portal], "iqn_prefixes": [Self::IQN_PREFIX] })
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let answer = reqwest::get(format!("{}/lab/{path}", self.url)).await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    async fn tell(&self, path: &str, body: &serde_json::Value) -> anyhow::Result<()> {
        let url = format!("{}/lab/{path}", self.url);
        let answer = reqwest::Client::new()
            .post(url)
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await?;
        let status = answer.status();
        anyhow::ensure!(status.is_success(), "{path}: {status} {}", answer.text().await?);
        Ok(())
    }

    /// What is there.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn left(&self) -> anyhow::Result<Left> {
        self.ask("left").await
    }

    /// Lets requests meet a fault.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn arm(&self, fault: &Fault) -> anyhow::Result<()> {
        self.tell("faults", &serde_json::to_value(fault)?).await
    }

    /// The requests that met one.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn hits(&self) -> anyhow::Result<Vec<Hit>> {
        self.ask("faults").await
    }

    /// Another serial number for a lun, or its own again.
    ///
    /// # Errors
    /// When there is no such lun.
    pub async fn swap_serial(&self, lun: &str, serial: Option<&str>) -> anyhow::Result<()> {
        self.tell(&format!("luns/{lun}/serial"), &json!({ "serial": serial }))
            .await
    }

    /// Another CHAP secret for a host, or its own again.
    ///
    /// # Errors
    /// When there is no such host.
    pub async fn change_secret(&self, host: &str, secret: Option<&str>) -> anyhow::Result<()> {
        self.tell(&format!("hosts/{host}/secret"), &json!({ "secret": secret }))
            .await
    }
}
