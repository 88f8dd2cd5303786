//! A PostgreSQL of a test's own: a temporary directory, a free port on the loopback, stopped at the end by its pid.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const BINARIES: &str = "/usr/lib/postgresql/15/bin";

/// A running server; it stops when this goes.
pub struct Postgres {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

/// Root may not run PostgreSQL: then it runs as `postgres`, and ends when the test does, whatever ends the test.
fn command(program: &str) -> Command {
    let program = format!("{BINARIES}/{program}");
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--pdeathsig=INT",
            "--",
        ])
        .arg(program);
    command
}

fn id_of(arguments: &[&str]) -> u32 {
    let output = Command::new("id").args(arguments).output().expect("id runs");
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .expect("a number")
}

fn is_root() -> bool {
    id_of(&["-u"]) == 0
}

impl Postgres {
    /// Starts one; none, with a loud message, where PostgreSQL 15 is not installed.
    pub fn start() -> Option<Self> {
        if !Path::new(BINARIES).join("postgres").exists() {
            eprintln!("\n!!! NOT TESTED ON POSTGRESQL: {BINARIES}/postgres is not there !!!\n");
            return None;
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        if is_root() {
            let (user, group) = (id_of(&["-u", "postgres"]), id_of(&["-g", "postgres"]));
            std::os::unix::fs::chown(directory.path(), Some(user), Some(group)).expect("chown");
        }
        let data = directory.path().join("data");
        let made = command("initdb")
            .args([
                "--auth=trust",
                "--username=velum",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(&data)
            .current_dir("/")
            .output()
            .expect("initdb runs");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a free port")
            .port();
        let child = command("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"])
            .arg(directory.path())
            .args(["-c", "fsync=off", "-c", "max_connections=200"])
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgres starts");
        Some(Self {
            child,
            port,
            directory,
        })
    }

    /// The URL of a database on it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://velum@127.0.0.1:{}/{database}", self.port)
    }

    /// A connection to its own database, once it answers.
    pub async fn connect(&self) -> sqlx::PgConnection {
        use sqlx::Connection as _;
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            match sqlx::PgConnection::connect(&self.url("postgres")).await {
                Ok(connection) => return connection,
                Err(error) => assert!(Instant::now() < until, "postgres does not answer: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A new database, and its URL.
    pub async fn database(&self, name: &str) -> String {
        let mut connection = self.connect().await;
        let text = format!("CREATE DATABASE {name}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(text))
            .execute(&mut connection)
            .await
            .expect("a database");
        self.url(name)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A fast shutdown: SIGINT to the process that was started, and only to it.
        let pid = self.child.id().to_string();
        let stopped = Command::new("kill").args(["-INT", &pid]).status();
        if !stopped.is_ok_and(|status| status.success()) {
            eprintln!(
                "could not stop postgres, process {pid}, in {}",
                self.directory.path().display()
            );
        }
        if let Err(error) = self.child.wait() {
            eprintln!("could not wait for postgres: {error}");
        }
    }
}
