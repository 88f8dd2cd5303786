//! The hypervisor's own processes, ended as a machine's trouble ends them: libvirtd, and the QEMU of one guest.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Where libvirtd says who it is.
const LIBVIRTD: &str = "/run/libvirtd.pid";
/// Where libvirt says which process is a guest.
const GUESTS: &str = "/run/libvirt/qemu";
/// libvirtd finds its guests again in tenths of a second; a busy machine may take some more.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// `kill -9` takes effect when the process is scheduled next.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// The libvirtd of this machine. One that was started here in place of another ends when this is dropped.
#[derive(Debug, Default)]
pub struct Libvirtd {
    started: Option<Pid>,
}

impl Libvirtd {
    /// It stands still: what it was asked to do is not done, and not answered.
    ///
    /// # Errors
    /// When none runs.
    pub fn freeze(&self) -> anyhow::Result<()> {
        kill_process(process(Path::new(LIBVIRTD), "libvirtd")?, Signal::STOP)
            .context("could not stop libvirtd")
    }

    /// `kill -9`; then another is started, and it is waited for until it answers.
    ///
    /// # Errors
    /// When none runs, or the next does not come up.
    pub fn kill_and_start(&mut self) -> anyhow::Result<()> {
        end(process(Path::new(LIBVIRTD), "libvirtd")?)?;
        self.started = None;
        let began = Instant::now();
        loop {
            let started = Command::new("libvirtd").arg("-d").output();
            let started = started.context("could not start libvirtd")?;
            if started.status.success() {
                break;
            }
            // The last threads of the dead one may still have the lock on its pid file.
            anyhow::ensure!(
                began.elapsed() < GONE_WITHIN,
                "libvirtd does not start: {}",
                String::from_utf8_lossy(&started.stderr).trim()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let began = Instant::now();
        while !answers() {
            anyhow::ensure!(began.elapsed() < BACK_WITHIN, "libvirtd does not come back");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.started = Some(process(Path::new(LIBVIRTD), "libvirtd")?);
        Ok(())
    }
}

impl Drop for Libvirtd {
    fn drop(&mut self) {
        if let Some(process) = self.started {
            let _ = kill_process(process, Signal::TERM);
            let began = Instant::now();
            while test_kill_process(process).is_ok() && began.elapsed() < GONE_WITHIN {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// `kill -9` of the QEMU of a run. False when it has none.
///
/// # Errors
/// When it does not go.
pub fn kill_guest(run: &str) -> anyhow::Result<bool> {
    let file = Path::new(GUESTS).join(format!("velum-{run}.pid"));
    match process(&file, "qemu-system-") {
        Ok(guest) => end(guest).map(|()| true),
        Err(_) => Ok(false),
    }
}

fn answers() -> bool {
    let asked = Command::new("virsh")
        .args(["-q", "-c", "qemu:///system", "version"])
        .output();
    asked.is_ok_and(|output| output.status.success())
}

/// The process that a file names, if it is of that name: another may have its number by now.
fn process(file: &Path, name: &str) -> anyhow::Result<Pid> {
    let number = fs::read_to_string(file).with_context(|| format!("{} is not there", file.display()))?;
    let number = number.trim();
    let is = fs::read_to_string(format!("/proc/{number}/comm")).context("it does not run")?;
    anyhow::ensure!(is.starts_with(name), "process {number} is {is:?} and not {name}");
    Pid::from_raw(number.parse()?).context("no process has the number 0")
}

fn end(process: Pid) -> anyhow::Result<()> {
    kill_process(process, Signal::KILL).context("could not kill it")?;
    let began = Instant::now();
    while is_there(process) {
        anyhow::ensure!(began.elapsed() < GONE_WITHIN, "process {process:?} does not go");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Whether it runs still: one that nobody has waited for yet does not.
fn is_there(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    stat.is_ok_and(|stat| {
        let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
        !matches!(state, Some('Z' | 'X') | None)
    })
}
