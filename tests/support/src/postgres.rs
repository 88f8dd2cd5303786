//! A PostgreSQL of a test's own: a temporary directory, a free port on the loopback, stopped at the end by its pid.

use std::{
    io,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const BINARIES: &str = "/usr/lib/postgresql/15/bin";
/// A cluster of this size starts in a second; after a crash, and beside three builds, in some.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running server; it stops when this goes.
#[derive(Debug)]
pub struct Postgres {
    child: Child,
    port: u16,
    /// `name=value`, each over what [`serve`] says.
    settings: Vec<String>,
    directory: tempfile::TempDir,
}

/// Root may not run PostgreSQL: then it runs as `postgres`, and ends when the test does, whatever ends the test.
fn command(program: &str) -> io::Result<Command> {
    let program = format!("{BINARIES}/{program}");
    if id_of(&["-u"])? != 0 {
        return Ok(Command::new(program));
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
    Ok(command)
}

fn id_of(arguments: &[&str]) -> io::Result<u32> {
    let output = Command::new("id").args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(io::Error::other)
}

/// Runs a program of PostgreSQL's to its end.
fn run(program: &str, arguments: &[&str]) -> io::Result<()> {
    let output = command(program)?.args(arguments).current_dir("/").output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{program} {arguments:?}: {said}")))
}

fn signal(name: &str, pid: u32) -> io::Result<()> {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status()?;
    if sent.success() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "could not send {name} to process {pid}"
    )))
}

impl Postgres {
    /// Starts one and waits until it answers; none, with a loud message, where PostgreSQL 15 is not installed.
    ///
    /// # Errors
    /// When it cannot be made or does not answer.
    pub fn start() -> io::Result<Option<Self>> {
        Self::start_with(&[])
    }

    /// The same with these settings, `name=value`. Commits of one that is measured must be durable, which they are not
    /// unless it is said here.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn start_with(settings: &[&str]) -> io::Result<Option<Self>> {
        if !Path::new(BINARIES).join("postgres").exists() {
            eprintln!("\n!!! NOT TESTED ON POSTGRESQL: {BINARIES}/postgres is not there !!!\n");
            return Ok(None);
        }
        let directory = tempfile::tempdir()?;
        if id_of(&["-u"])? == 0 {
            let (user, group) = (id_of(&["-u", "postgres"])?, id_of(&["-g", "postgres"])?);
            std::os::unix::fs::chown(directory.path(), Some(user), Some(group))?;
        }
        let data = directory.path().join("data").display().to_string();
        let how = ["--auth=trust", "--username=velum", "--no-sync"];
        let what = ["--encoding=UTF8", "--locale=C", "-D", &data];
        run("initdb", &[how.as_slice(), what.as_slice()].concat())?;
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())?
            .port();
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let mut own = Self {
            child: serve(directory.path(), port, &settings)?,
            port,
            settings,
            directory,
        };
        own.wait_ready()?;
        Ok(Some(own))
    }

    /// The URL of a database on it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://velum@127.0.0.1:{}/{database}", self.port)
    }

    /// Where it listens, on the loopback.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The process that all its others descend from.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A new database, and its URL.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self, name: &str) -> io::Result<String> {
        let port = self.port.to_string();
        run("createdb", &["-h", "127.0.0.1", "-p", &port, "-U", "velum", name])?;
        Ok(self.url(name))
    }

    /// `kill -9`: nothing is written, its backends end when they notice.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// What `pg_ctl stop -m immediate` does: every process ends at once, and the next start recovers.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn stop_immediately(&mut self) -> io::Result<()> {
        signal("-QUIT", self.id())?;
        self.child.wait().map(drop)
    }

    /// Starts it again on the same data and port, and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.child = serve(self.directory.path(), self.port, &self.settings)?;
        self.wait_ready()
    }

    fn wait_ready(&mut self) -> io::Result<()> {
        let until = Instant::now() + READY_WITHIN;
        let port = self.port.to_string();
        loop {
            let answers = run("pg_isready", &["-h", "127.0.0.1", "-p", &port, "-U", "velum"]);
            let Err(problem) = answers else { return Ok(()) };
            if Instant::now() > until {
                return Err(problem);
            }
            if self.child.try_wait()?.is_some() {
                // Backends of one that was killed may still hold its memory: it starts when they are gone.
                self.child = serve(self.directory.path(), self.port, &self.settings)?;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn serve(directory: &Path, port: u16, settings: &[String]) -> io::Result<Child> {
    // Of a setting that is given twice the last counts.
    let settings = settings.iter().flat_map(|setting| ["-c", setting]);
    command("postgres")?
        .arg("-D")
        .arg(directory.join("data"))
        .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"])
        .arg(directory)
        .args(["-c", "fsync=off", "-c", "max_connections=200"])
        .args(settings)
        .current_dir("/")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // A fast shutdown: SIGINT to the process that was started, and only to it.
        let ended = signal("-INT", self.id()).and_then(|()| self.child.wait().map(drop));
        if let Err(error) = ended {
            eprintln!(
                "could not stop postgres in {}: {error}",
                self.directory.path().display()
            );
        }
    }
}
