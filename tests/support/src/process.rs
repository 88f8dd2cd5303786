//! Processes by their id: started, frozen, killed, and gone when the test is.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

/// A program of the workspace, built before the suite. `VELUM_BIN` names the directory when it is not the one of the
/// running test.
///
/// # Errors
/// When it is not there, with the command that builds it.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let directory = match std::env::var_os("VELUM_BIN") {
        Some(directory) => PathBuf::from(directory),
        None => {
            let own = std::env::current_exe().context("could not find the running test")?;
            let deps = own.parent().context("the test lies nowhere")?;
            if deps.ends_with("deps") {
                deps.parent().unwrap_or(deps).to_owned()
            } else {
                deps.to_owned()
            }
        }
    };
    let path = directory.join(name);
    anyhow::ensure!(
        path.is_file(),
        "{} is not built: run `bash tests/run.sh build` first",
        path.display()
    );
    Ok(path)
}

/// A process of the test's own. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
    is_frozen: bool,
}

impl Process {
    /// Starts `command`; what it prints goes to `log`, appended.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let open = || File::options().create(true).append(true).open(log);
        let out = open().with_context(|| format!("could not open {}", log.display()))?;
        let err = open().with_context(|| format!("could not open {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("could not start {name}"))?;
        Ok(Self {
            child,
            name: name.to_owned(),
            log: log.to_owned(),
            is_frozen: false,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    #[must_use]
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGSTOP: it stands still, its connections open, its leases running out.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn freeze(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)?;
        self.is_frozen = true;
        Ok(())
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn thaw(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)?;
        self.is_frozen = false;
        Ok(())
    }

    /// SIGTERM, and waits until it is gone.
    ///
    /// # Errors
    /// When it is not gone within `patience`.
    pub fn stop(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(patience)
    }

    /// Waits until it ended by itself.
    ///
    /// # Errors
    /// When it did not within `patience`.
    pub fn wait(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            anyhow::ensure!(
                began.elapsed() < patience,
                "{} does not end; it printed:\n{}",
                self.name,
                self.printed()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Seconds of processor time that it has used, in hundredths.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()))
            .with_context(|| format!("{} is gone", self.name))?;
        // The name in brackets may hold anything; utime and stime are the 12th and 13th behind it (proc(5)), in hundredths.
        let (_, rest) = stat.rsplit_once(')').context("the kernel tells no stat")?;
        let ticks: u64 = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(ticks as f64 / 100.0)
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))
            .with_context(|| format!("{} is gone", self.name))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("the kernel tells no VmRSS")?;
        let kib: u64 = line
            .trim()
            .trim_end_matches("kB")
            .trim()
            .parse()
            .context("VmRSS is no number")?;
        Ok(kib * 1024)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("the process has no id")?;
        kill_process(pid, signal).with_context(|| format!("could not signal {}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_frozen {
            let _ = self.thaw();
        }
        self.kill();
    }
}
