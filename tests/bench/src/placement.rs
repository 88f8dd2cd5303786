//! OpenStack Placement beside us: the service that Nova asks where a machine goes and that books it there.
//!
//! Its best settings: PostgreSQL, uwsgi with 2 processes of 5 threads, no debugging, 10 candidates a request. A placement is
//! what Nova makes of it: GET candidates, PUT the allocation, with a conflict the next candidate.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::Value;
use velum_support::{Postgres, Process};

use crate::processes;

/// Processes and threads of its server: those of the upstream's own load test through the number of cores here.
const WORKERS: (u16, u16) = (2, 5);
/// Candidates that are asked for: Placement finds all anyway, but answers only these.
const CANDIDATES: u32 = 10;
/// The first start makes its tables.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Where it lies.
#[derive(Clone, Debug, clap::Args)]
pub struct Installed {
    /// The virtual environment that has Placement and uwsgi.
    #[arg(long, env = "VELUM_OPENSTACK_VENV")]
    pub venv: PathBuf,
    /// `serve_placement.sh` and what else is in `peers/openstack`.
    #[arg(long, env = "VELUM_OPENSTACK_SCRIPTS")]
    pub scripts: PathBuf,
}

/// A running one; it stops when this goes.
#[derive(Debug)]
pub struct Placement {
    // Before the database that it works on.
    server: Process,
    url: String,
    scripts: PathBuf,
    database: Postgres,
}

/// What its clients saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Placed {
    /// Placements a second.
    pub per_s: f64,
    /// Milliseconds within which half of them were made.
    pub p50_ms: f64,
    /// And 99 of 100.
    pub p99_ms: f64,
    /// Milliseconds of processor time that one took, its database's with it.
    pub cpu_ms: f64,
}

impl Placement {
    /// Starts it with so many compute hosts; what it prints goes to `directory`.
    ///
    /// # Errors
    /// It does not come up, or does not take the hosts.
    pub async fn start(installed: &Installed, hosts: u32, directory: &Path) -> anyhow::Result<Self> {
        let database = crate::postgres::start()?;
        database.create("placement")?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let place = format!("velum@127.0.0.1:{}/placement", database.port());
        let (processes, threads) = WORKERS;
        // It ends when the bench does, whatever ends the bench.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig=TERM", "--", "bash"])
            .arg(installed.scripts.join("serve_placement.sh"))
            .arg(format!("postgresql+psycopg2://{place}"))
            .args([port, processes, threads].map(|n| n.to_string()))
            .env("VENV", &installed.venv);
        let server = Process::start("placement", &mut command, &directory.join("placement.log"))?;
        let mut own = Self {
            server,
            url: format!("http://127.0.0.1:{port}"),
            scripts: installed.scripts.clone(),
            database,
        };
        own.wait_ready().await?;
        own.populate(hosts)?;
        Ok(own)
    }

    async fn wait_ready(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            if reqwest::get(&self.url)
                .await
                .is_ok_and(|r| r.status().is_success())
            {
                return Ok(());
            }
            anyhow::ensure!(
                self.server.is_running() && began.elapsed() < READY_WITHIN,
                "Placement does not come up; it printed:\n{}",
                self.server.printed()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// One compute host by its API, the others like it by SQL: the API takes 17 a second.
    fn populate(&self, hosts: u32) -> anyhow::Result<()> {
        self.load(&["populate", "1"])?;
        let bulk = self.scripts.join("bulk_rps.sql").display().to_string();
        let more = format!("n={}", hosts.saturating_sub(1));
        self.sql(&["-v", &more, "-f", &bulk, "-c", "ANALYZE"])?;
        let count = self.count("count(*) FROM resource_providers")?;
        anyhow::ensure!(
            count == u64::from(hosts),
            "Placement has {count} compute hosts, not {hosts}"
        );
        Ok(())
    }

    /// Makes `count` placements by so many clients at a time.
    ///
    /// # Errors
    /// One is refused.
    pub fn place(&self, clients: usize, count: u64) -> anyhow::Result<Placed> {
        let roots = [self.server.id(), self.database.id()];
        let before = processes::cpu_seconds(&roots)?;
        let (count, clients, limit) = (count.to_string(), clients.to_string(), CANDIDATES.to_string());
        let line = self.load(&["place", "--n", &count, "--conc", &clients, "--limit", &limit])?;
        let cpu = processes::cpu_seconds(&roots)? - before;
        let figure = |name: &str| {
            let value = line.get(name).and_then(Value::as_f64);
            value.with_context(|| format!("the load has no {name}: {line}"))
        };
        Ok(Placed {
            per_s: figure("per_s")?,
            p50_ms: figure("p50_ms")?,
            p99_ms: figure("p99_ms")?,
            cpu_ms: cpu * 1000.0 / figure("n")?,
        })
    }

    /// Machines that have an allocation.
    ///
    /// # Errors
    /// The database does not answer.
    pub fn allocated(&self) -> anyhow::Result<u64> {
        self.count("count(DISTINCT consumer_id) FROM allocations")
    }

    /// Its settings, for the report.
    #[must_use]
    pub fn settings() -> String {
        let (processes, threads) = WORKERS;
        format!(
            "openstack-placement 16.0.0, PostgreSQL 15 ({}), uwsgi {processes} processes x {threads} threads, \
             limit={CANDIDATES}, debug and request log off",
            crate::postgres::SETTINGS.join(" ")
        )
    }

    /// Runs the generator of load; answers its line. Every request must have gone well.
    fn load(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = Command::new("python3")
            .arg(self.scripts.join("placement_load.py"))
            .arg(&self.url)
            .args(arguments)
            .output()
            .context("could not start placement_load.py")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line: Value = serde_json::from_str(said.trim()).with_context(|| {
            let problem = String::from_utf8_lossy(&output.stderr);
            format!("placement_load.py printed no line: {said}{problem}")
        })?;
        let outcomes = line.get("outcome").and_then(Value::as_object);
        let outcomes = outcomes.context("the load has no outcomes")?;
        anyhow::ensure!(
            outcomes.keys().all(|outcome| outcome.starts_with("ok")),
            "Placement refused some: {line}"
        );
        Ok(line)
    }

    fn count(&self, what: &str) -> anyhow::Result<u64> {
        let said = self.sql(&["-c", &format!("SELECT {what}")])?;
        said.trim()
            .parse()
            .with_context(|| format!("{said} is no number"))
    }

    fn sql(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new("psql")
            .args(["-h", "127.0.0.1", "-U", "velum", "-d", "placement", "-AtqX"])
            .args(["-p", &self.database.port().to_string(), "-v", "ON_ERROR_STOP=1"])
            .args(arguments)
            .output()
            .context("could not start psql")?;
        anyhow::ensure!(
            output.status.success(),
            "the database of Placement says: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        // Told, it ends its workers; killed, it would leave them.
        if let Err(error) = self.server.stop(Duration::from_secs(20)) {
            eprintln!("could not stop Placement: {error}");
        }
    }
}
