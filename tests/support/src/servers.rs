//! Several servers on one PostgreSQL and one far side, each in a network namespace of its own behind one bridge, so that it
//! can be killed, frozen, or cut off.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use velum_client::{Client, ClientError, Patience};

use crate::{
    cloud::{CloudOptions, start_sim},
    process::{Process, program},
    server::{first_party, free_port, wait_ready},
};

/// Where PostgreSQL's programs are.
const POSTGRES: &str = "/usr/lib/postgresql/15/bin";
/// The bridge, and the addresses on it: the far side and the test, the database.
const BRIDGE: &str = "velumsrv";
const FAR_SIDE: &str = "10.214.0.1";
const DATABASE: &str = "10.214.0.2";
/// Every server listens at this port of its own address.
const PORT: u16 = 7070;

/// How servers are to be.
#[derive(Clone, Debug)]
pub struct ServersOptions {
    /// How many.
    pub servers: usize,
    /// The far side, and further lines of the servers' configuration.
    pub cloud: CloudOptions,
}

/// From what a server is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// From everything: its cable is out.
    All,
    /// From the database alone: callers, the other servers and the far side still reach it.
    Database,
}

/// A shard as its row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub shard: String,
    /// Under which epoch.
    pub epoch: u64,
    /// The name of the server that holds it; empty when none does.
    pub holder: String,
    /// Operations of it under way.
    pub under_way: u64,
}

/// Running servers. Everything stops when it is dropped.
#[derive(Debug)]
pub struct Servers {
    // In the order in which they end.
    servers: Vec<Process>,
    sim: Process,
    sim_url: String,
    database: Database,
    plugins: PathBuf,
    config: String,
    directory: tempfile::TempDir,
    // Last: namespaces go after what runs in them.
    _net: Net,
}

impl Servers {
    /// Starts database, far side and servers, and waits until all answer.
    ///
    /// # Errors
    /// When this is not root, or something does not come up; with what it printed.
    pub async fn start(options: &ServersOptions) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("velum-").tempdir()?;
        let net = Net::make(options.servers)?;
        let database = Database::start(directory.path())?;
        let far_side = format!("{FAR_SIDE}:0");
        let (sim, sim_url) = start_sim(directory.path(), &options.cloud, &far_side)?;
        let config = format!("database = \"{}\"\n{}", database.url(), options.cloud.config);
        let plugins = match &options.cloud.plugins {
            Some(plugins) => plugins.clone(),
            None => first_party()?,
        };
        let mut servers = Self {
            servers: Vec::new(),
            sim,
            sim_url,
            database,
            plugins,
            config,
            directory,
            _net: net,
        };
        for number in 0..options.servers {
            if number > 0 {
                servers.copy_compiled(number)?;
            }
            let process = servers.spawn(number)?;
            servers.servers.push(process);
            servers.wait_ready(number).await?;
        }
        Ok(servers)
    }

    /// What the first server compiled, so that not every one spends a minute on it.
    fn copy_compiled(&self, number: usize) -> anyhow::Result<()> {
        let home = self.home(number).join("data");
        std::fs::create_dir_all(&home)?;
        let copied = Command::new("cp")
            .arg("-a")
            .arg(self.home(0).join("data/plugins"))
            .arg(&home)
            .status()?;
        anyhow::ensure!(copied.success(), "could not copy the compiled components");
        Ok(())
    }

    /// Where a server's data and log lie.
    #[must_use]
    pub fn home(&self, number: usize) -> PathBuf {
        self.directory.path().join(format!("server-{number}"))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.servers.len()
    }

    /// Where a server is reached.
    #[must_use]
    pub fn url(&self, number: usize) -> String {
        format!("http://{}:{PORT}", address(number))
    }

    /// Where the far side is reached.
    #[must_use]
    pub fn sim_url(&self) -> &str {
        &self.sim_url
    }

    /// The administrator's token: the first server made it.
    ///
    /// # Errors
    /// When it is not there.
    pub fn token(&self) -> anyhow::Result<String> {
        let path = self.home(0).join("data/admin.token");
        let text = std::fs::read_to_string(&path).context("the first server has written no token")?;
        Ok(text.trim().to_owned())
    }

    /// A client of one server with the administrator's token.
    ///
    /// # Errors
    /// When there is no token.
    pub fn client(&self, number: usize) -> anyhow::Result<Client> {
        Ok(Client::new(&self.url(number), Some(&self.token()?))?)
    }

    /// Makes clients that ask once and do not try again, each with connections of its own.
    ///
    /// # Errors
    /// When there is no token.
    pub fn impatient(
        &self,
        number: usize,
    ) -> anyhow::Result<impl Fn() -> Result<Client, ClientError> + use<>> {
        let (url, token) = (self.url(number), self.token()?);
        Ok(move || Client::with_patience(&url, Some(&token), Patience::NONE))
    }

    /// The name of a server in lease rows.
    ///
    /// # Errors
    /// When it has none yet.
    pub fn name(&self, number: usize) -> anyhow::Result<String> {
        let name = std::fs::read_to_string(self.home(number).join("data/server.id"))?;
        Ok(name.trim().to_owned())
    }

    /// What a server printed.
    #[must_use]
    pub fn log(&self, number: usize) -> String {
        std::fs::read_to_string(self.home(number).join("velumd.log")).unwrap_or_default()
    }

    fn spawn(&self, number: usize) -> anyhow::Result<Process> {
        let home = self.home(number);
        std::fs::create_dir_all(&home)?;
        std::fs::write(home.join("velumd.toml"), &self.config)?;
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &namespace(number)])
            .arg(program("velumd")?)
            .arg("--config")
            .arg(home.join("velumd.toml"))
            .arg("--data")
            .arg(home.join("data"))
            .arg("--plugins")
            .arg(&self.plugins)
            .args(["--listen", &format!("{}:{PORT}", address(number))]);
        Process::start("velumd", &mut command, &home.join("velumd.log"))
    }

    async fn wait_ready(&mut self, number: usize) -> anyhow::Result<()> {
        let url = self.url(number);
        wait_ready(&url, self.server(number)?).await
    }

    fn server(&mut self, number: usize) -> anyhow::Result<&mut Process> {
        let server = self.servers.get_mut(number);
        server.with_context(|| format!("there is no server {number}"))
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        self.server(number)?.kill();
        Ok(())
    }

    /// SIGSTOP.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn freeze(&mut self, number: usize) -> anyhow::Result<()> {
        self.server(number)?.freeze()
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn thaw(&mut self, number: usize) -> anyhow::Result<()> {
        self.server(number)?.thaw()
    }

    /// SIGTERM, and waits until it is gone.
    ///
    /// # Errors
    /// When it is not gone in time.
    pub fn stop(&mut self, number: usize) -> anyhow::Result<()> {
        self.server(number)?.stop(Duration::from_secs(20)).map(drop)
    }

    /// Starts a server again on its own data, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&mut self, number: usize) -> anyhow::Result<()> {
        let process = self.spawn(number)?;
        *self.server(number)? = process;
        self.wait_ready(number).await
    }

    /// Cuts a server off. Nothing is told to anybody: packets are lost.
    ///
    /// # Errors
    /// When the network does not do it.
    pub fn cut(&self, number: usize, cut: Cut) -> anyhow::Result<()> {
        match cut {
            Cut::All => ip(&["link", "set", &cable(number), "down"]),
            Cut::Database => inside(number, &["route", "add", "blackhole", DATABASE]),
        }
    }

    /// Takes the cut back.
    ///
    /// # Errors
    /// When the network does not do it.
    pub fn heal(&self, number: usize, cut: Cut) -> anyhow::Result<()> {
        match cut {
            Cut::All => ip(&["link", "set", &cable(number), "up"]),
            Cut::Database => inside(number, &["route", "del", "blackhole", DATABASE]),
        }
    }

    /// The shards of zones as their rows say.
    ///
    /// # Errors
    /// When the database does not answer.
    pub fn shards(&self) -> anyhow::Result<Vec<Held>> {
        let rows = self.query(
            "SELECT s.id, s.epoch, s.holder, (SELECT COUNT(*) FROM operation o
                WHERE o.shard = s.id AND o.state IN ('running', 'undoing'))
             FROM shard s JOIN zone z ON z.shard = s.id ORDER BY z.name",
        )?;
        let mut shards = Vec::new();
        for row in rows {
            let [shard, epoch, holder, under_way] = row
                .try_into()
                .map_err(|row| anyhow::anyhow!("four columns, not {row:?}"))?;
            shards.push(Held {
                shard,
                epoch: epoch.parse()?,
                holder,
                under_way: under_way.parse()?,
            });
        }
        Ok(shards)
    }

    /// Rows of the database, asked beside the servers.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn query(&self, text: &str) -> anyhow::Result<Vec<Vec<String>>> {
        let answer = Command::new(format!("{POSTGRES}/psql"))
            .args(["-h", "127.0.0.1", "-p", &self.database.port.to_string()])
            .args(["-U", "velum", "-d", "velum", "-AtqX", "-F", "|", "-c", text])
            .output()?;
        anyhow::ensure!(
            answer.status.success(),
            "the database says: {}",
            String::from_utf8_lossy(&answer.stderr)
        );
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        let lines = text.lines().filter(|line| !line.is_empty());
        Ok(lines
            .map(|line| line.split('|').map(str::to_owned).collect())
            .collect())
    }

    /// Asks the far side, as JSON: `GET /sim/audit`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn sim_get(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        let response = reqwest::get(format!("{}{path}", self.sim_url)).await?;
        Ok(response.error_for_status()?.json().await?)
    }

    /// Whether the far side still runs.
    pub fn far_side_runs(&mut self) -> bool {
        self.sim.is_running()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // What they printed is kept with the run, when it has a place for that.
        let Some(logs) = std::env::var_os("VELUM_LOGS") else {
            return;
        };
        let place = PathBuf::from(logs).join("servers");
        let keep = |from: PathBuf, name: &str| std::fs::copy(from, place.join(name)).map(drop);
        let kept = std::fs::create_dir_all(&place).and_then(|()| {
            keep(self.directory.path().join("postgres.log"), "postgres.log")?;
            (0..self.servers.len())
                .try_for_each(|n| keep(self.home(n).join("velumd.log"), &format!("velumd-{n}.log")))
        });
        if let Err(error) = kept {
            eprintln!("could not keep what the servers printed: {error}");
        }
    }
}

fn address(number: usize) -> String {
    format!("10.214.0.{}", 11 + number)
}

fn namespace(number: usize) -> String {
    format!("{BRIDGE}-{number}")
}

fn cable(number: usize) -> String {
    format!("{BRIDGE}{number}")
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("ip")?;
    anyhow::ensure!(
        output.status.success(),
        "ip {} says: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

fn inside(number: usize, arguments: &[&str]) -> anyhow::Result<()> {
    let namespace = namespace(number);
    let mut all = vec!["-n", namespace.as_str()];
    all.extend(arguments);
    ip(&all)
}

/// A bridge with a namespace for each server.
#[derive(Debug)]
struct Net {
    servers: usize,
}

impl Net {
    fn make(servers: usize) -> anyhow::Result<Self> {
        // What a run that was ended half-way left behind.
        Self::take_down(servers);
        let net = Self { servers };
        ip(&["link", "add", BRIDGE, "type", "bridge"]).context("namespaces need root")?;
        for address in [FAR_SIDE, DATABASE] {
            ip(&["address", "add", &format!("{address}/24"), "dev", BRIDGE])?;
        }
        ip(&["link", "set", BRIDGE, "up"])?;
        for number in 0..servers {
            let (namespace, cable) = (namespace(number), cable(number));
            ip(&["netns", "add", &namespace])?;
            ip(&[
                "link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &namespace,
            ])?;
            ip(&["link", "set", &cable, "master", BRIDGE])?;
            ip(&["link", "set", &cable, "up"])?;
            inside(number, &["link", "set", "lo", "up"])?;
            let own = format!("{}/24", address(number));
            inside(number, &["address", "add", &own, "dev", "eth0"])?;
            inside(number, &["link", "set", "eth0", "up"])?;
        }
        Ok(net)
    }

    fn take_down(servers: usize) {
        // What is not there need not go.
        for number in 0..servers {
            let _ = ip(&["link", "del", &cable(number)]);
            let _ = ip(&["netns", "del", &namespace(number)]);
        }
        let _ = ip(&["link", "del", BRIDGE]);
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        Self::take_down(self.servers);
    }
}

/// A PostgreSQL of the test's own.
#[derive(Debug)]
struct Database {
    process: Process,
    port: u16,
}

impl Database {
    fn start(directory: &Path) -> anyhow::Result<Self> {
        let home = directory.join("postgres");
        std::fs::create_dir_all(&home)?;
        // The user of the database passes through.
        let made = Command::new("chmod").arg("711").arg(directory).status()?;
        anyhow::ensure!(
            made.success(),
            "could not open {} to the database",
            directory.display()
        );
        let owned = Command::new("chown").arg("postgres:").arg(&home).status()?;
        anyhow::ensure!(owned.success(), "could not give {} to postgres", home.display());
        let data = home.join("data");
        let made = as_postgres("initdb")
            .args([
                "--auth=trust",
                "--username=velum",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(&data)
            .stdout(Stdio::null())
            .current_dir("/")
            .status()?;
        anyhow::ensure!(made.success(), "initdb failed");
        let trusted = std::fs::read_to_string(data.join("pg_hba.conf"))?;
        std::fs::write(
            data.join("pg_hba.conf"),
            format!("{trusted}host all all 10.214.0.0/24 trust\n"),
        )?;
        let port = free_port()?;
        let mut command = as_postgres("postgres");
        command
            .arg("-D")
            .arg(&data)
            .args([
                "-p",
                &port.to_string(),
                "-h",
                &format!("127.0.0.1,{DATABASE}"),
                "-k",
            ])
            .arg(&home)
            // Durability against power cuts is not what is tested, and costs most of the time.
            .args(["-c", "fsync=off", "-c", "max_connections=200"])
            .current_dir("/");
        let process = Process::start("postgres", &mut command, &directory.join("postgres.log"))?;
        let mut database = Self { process, port };
        database.make("velum")?;
        Ok(database)
    }

    fn make(&mut self, name: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let made = Command::new(format!("{POSTGRES}/createdb"))
                .args([
                    "-h",
                    "127.0.0.1",
                    "-p",
                    &self.port.to_string(),
                    "-U",
                    "velum",
                    name,
                ])
                .stderr(Stdio::null())
                .status()?;
            if made.success() {
                return Ok(());
            }
            anyhow::ensure!(
                self.process.is_running() && began.elapsed() < Duration::from_secs(30),
                "PostgreSQL does not come up:\n{}",
                self.process.printed()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn url(&self) -> String {
        format!("postgres://velum@{DATABASE}:{}/velum", self.port)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A fast shutdown: it cleans up after itself.
        let pid = self.process.id().to_string();
        let told = Command::new("kill").args(["-INT", &pid]).status();
        if told.is_ok_and(|status| status.success()) {
            let _ = self.process.wait(Duration::from_secs(10));
        }
    }
}

/// PostgreSQL does not run as root.
fn as_postgres(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--pdeathsig=INT",
            "--",
        ])
        .arg(format!("{POSTGRES}/{program}"));
    command
}
