//! A cloud of real processes: `velum-sim`, and `velumd` over a data directory of the test's own.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use anyhow::Context;
use velum_client::Client;

use crate::{
    process::{Process, program},
    server::{first_party, free_port, start_velumd, start_velumd_under, wait_ready},
};

/// How a cloud is to be.
#[derive(Clone, Debug)]
pub struct CloudOptions {
    /// Simulated compute hosts.
    pub hosts: u32,
    /// Zones that they are spread over.
    pub zones: u32,
    /// What every transition of the far side takes, milliseconds.
    pub latency_ms: u32,
    /// Further options of `velum-sim`.
    pub sim: Vec<String>,
    /// Further lines of the server's configuration.
    pub config: String,
    /// The components that are installed at start; the first-party ones unless named.
    pub plugins: Option<PathBuf>,
}

impl Default for CloudOptions {
    fn default() -> Self {
        Self {
            hosts: 4,
            zones: 1,
            latency_ms: 0,
            sim: Vec::new(),
            config: String::new(),
            plugins: None,
        }
    }
}

/// A running cloud. Everything stops when it is dropped.
#[derive(Debug)]
pub struct TestCloud {
    /// The server.
    pub velumd: Process,
    /// The far side; it outlives the server.
    pub sim: Process,
    /// Where the far side listens.
    pub sim_url: String,
    /// Where the server listens.
    pub url: String,
    /// A program, with arguments, that the server is started under from the next start on and that becomes it: a recorder.
    /// Empty: none.
    pub under: Vec<OsString>,
    plugins: PathBuf,
    directory: tempfile::TempDir,
}

impl TestCloud {
    /// Starts the far side and the server, and waits until both answer.
    ///
    /// # Errors
    /// When a program is not built or does not come up; with what it printed.
    pub async fn start(options: &CloudOptions) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("velum-")
            .tempdir()
            .context("could not make a directory")?;
        let (sim, sim_url) = start_sim(directory.path(), options, "127.0.0.1:0")?;
        let config = directory.path().join("velumd.toml");
        std::fs::write(&config, &options.config).context("could not write the configuration")?;
        let port = free_port()?;
        let plugins = match &options.plugins {
            Some(plugins) => plugins.clone(),
            None => first_party()?,
        };
        let velumd = start_velumd(directory.path(), port, &plugins, &[])?;
        let mut cloud = Self {
            velumd,
            sim,
            sim_url,
            url: format!("http://127.0.0.1:{port}"),
            under: Vec::new(),
            plugins,
            directory,
        };
        cloud.wait_ready().await?;
        Ok(cloud)
    }

    /// The data directory of the server.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Where the processes print to, and what else the test wants to put beside.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The administrator's token.
    ///
    /// # Errors
    /// When the server has not written it yet.
    pub fn token(&self) -> anyhow::Result<String> {
        let path = self.data().join("admin.token");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        Ok(text.trim().to_owned())
    }

    /// A client with the administrator's token.
    ///
    /// # Errors
    /// When there is no token yet.
    pub fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(&self.url, Some(&self.token()?))?)
    }

    /// Replaces the server's configuration, which it reads when it starts again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, config: &str) -> anyhow::Result<()> {
        std::fs::write(self.directory.path().join("velumd.toml"), config)
            .context("could not write the configuration")
    }

    /// Runs `velumd db …` with the server's configuration and data.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn db(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.velumd_aside(&[&["db"], arguments].concat())
    }

    /// Runs `velumd` with this cloud's configuration and data for something else than serving.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn velumd_aside(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        Command::new(program("velumd")?)
            .arg("--config")
            .arg(self.directory.path().join("velumd.toml"))
            .arg("--data")
            .arg(self.data())
            .args(arguments)
            .output()
            .context("could not start velumd")
    }

    /// `kill -9` of the server.
    pub fn kill(&mut self) {
        self.velumd.kill();
    }

    /// Starts the server again on the same data and port, and waits until it is ready. Answers how long that took.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&mut self) -> anyhow::Result<Duration> {
        self.start_again(&[]).await
    }

    /// Starts the server again without waiting for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn respawn(&mut self) -> anyhow::Result<()> {
        let port = self.port()?;
        self.velumd = start_velumd_under(&self.under, self.directory.path(), port, &self.plugins, &[])?;
        Ok(())
    }

    /// From the next start on the server is offered these components, none for an empty path.
    pub fn offer_plugins(&mut self, directory: &Path) {
        directory.clone_into(&mut self.plugins);
    }

    async fn start_again(&mut self, arguments: &[&str]) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let port = self.port()?;
        self.velumd = start_velumd_under(&self.under, self.directory.path(), port, &self.plugins, arguments)?;
        self.wait_ready().await?;
        Ok(began.elapsed())
    }

    /// A second server on the same data, at a port of its own, that takes over as soon as the leases have run out.
    /// Answers it and its address once it is ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn take_over(&self) -> anyhow::Result<(Process, String)> {
        let port = free_port()?;
        let mut second = start_velumd(self.directory.path(), port, &self.plugins, &["--take-over"])?;
        let url = format!("http://127.0.0.1:{port}");
        wait_ready(&url, &mut second).await?;
        Ok((second, url))
    }

    /// Waits until the server is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time; with what it printed.
    pub async fn wait_ready(&mut self) -> anyhow::Result<()> {
        let url = self.url.clone();
        wait_ready(&url, &mut self.velumd).await
    }

    fn port(&self) -> anyhow::Result<u16> {
        let (_, port) = self.url.rsplit_once(':').context("the address has no port")?;
        port.parse().context("the port is no number")
    }

    /// Asks the far side, as JSON: `GET /sim/audit`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn sim_get(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        let response = reqwest::get(format!("{}{path}", self.sim_url))
            .await?
            .error_for_status()?;
        Ok(response.json().await?)
    }

    /// Tells the far side: `POST /sim/faults`.
    ///
    /// # Errors
    /// When it does not answer or refuses.
    pub async fn sim_post(&self, path: &str, body: &serde_json::Value) -> anyhow::Result<serde_json::Value> {
        let response = reqwest::Client::new()
            .post(format!("{}{path}", self.sim_url))
            .json(body)
            .send()
            .await?;
        let response = response.error_for_status()?;
        Ok(response.json().await.unwrap_or_default())
    }

    /// Takes something back: `DELETE /sim/faults`.
    ///
    /// # Errors
    /// When it does not answer or refuses.
    pub async fn sim_delete(&self, path: &str) -> anyhow::Result<()> {
        reqwest::Client::new()
            .delete(format!("{}{path}", self.sim_url))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }
}

/// Starts the far side and waits until it listens.
pub(crate) fn start_sim(
    directory: &Path,
    options: &CloudOptions,
    listen: &str,
) -> anyhow::Result<(Process, String)> {
    let log = directory.join("velum-sim.log");
    let mut command = Command::new(program("velum-sim")?);
    command
        .args(["--listen", listen])
        .args([
            "--hosts",
            &options.hosts.to_string(),
            "--zones",
            &options.zones.to_string(),
        ])
        .args(["--latency-ms", &options.latency_ms.to_string()])
        .args(&options.sim);
    let mut sim = Process::start("velum-sim", &mut command, &log)?;
    let began = Instant::now();
    loop {
        let printed = sim.printed();
        if let Some(url) = printed
            .lines()
            .find_map(|l| l.strip_prefix("velum-sim listening on "))
        {
            return Ok((sim, url.trim().to_owned()));
        }
        anyhow::ensure!(
            sim.is_running() && began.elapsed() < Duration::from_secs(20),
            "velum-sim does not come up:\n{printed}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
