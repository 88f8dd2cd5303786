//! `tgtd`: one of our own, told what to do by `tgtadm`.

use std::{
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;

/// It binds its portal and its socket in tenths of a second.
const UP_WITHIN: Duration = Duration::from_secs(10);

/// A target daemon; it ends with this. SIGTERM it would not take.
#[derive(Debug)]
pub(super) struct Tgtd {
    child: Child,
    socket: PathBuf,
}

/// A unit that a target shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit<'a> {
    pub(super) target: u32,
    pub(super) number: u16,
    pub(super) file: &'a Path,
    pub(super) serial: &'a str,
    pub(super) wwid: &'a str,
}

impl Tgtd {
    /// Starts it at a portal of its own, with its socket in `directory`.
    pub(super) fn start(directory: &Path, portal: SocketAddr) -> anyhow::Result<Self> {
        let socket = directory.join("tgtd.sock");
        let log = std::fs::File::create(directory.join("tgtd.log")).context("could not make tgtd's log")?;
        // It goes with us, however we end.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "tgtd", "-f", "-t", "2"])
            .args(["--iscsi", &format!("portal={portal}")])
            .env("TGT_IPC_SOCKET", &socket)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("could not start tgtd: apt-get install tgt")?;
        let mut tgtd = Self { child, socket };
        let began = Instant::now();
        // tgtd adds the number of its control port to the name.
        while UnixStream::connect(tgtd.control()).is_err() || tgtd.show("target").is_err() {
            let ended = tgtd.child.try_wait()?.is_some();
            anyhow::ensure!(
                !ended && began.elapsed() < UP_WITHIN,
                "tgtd does not come up at {portal}: {}",
                std::fs::read_to_string(directory.join("tgtd.log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(tgtd)
    }

    fn control(&self) -> PathBuf {
        let mut name = self.socket.as_os_str().to_owned();
        name.push(".0");
        PathBuf::from(name)
    }

    fn adm(&self, mode: &str, op: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new("tgtadm")
            .args(["--lld", "iscsi", "--mode", mode, "--op", op])
            .args(arguments)
            .env("TGT_IPC_SOCKET", &self.socket)
            .stdin(Stdio::null())
            .output()
            .context("could not run tgtadm: apt-get install tgt")?;
        anyhow::ensure!(
            output.status.success(),
            "tgtadm {mode} {op}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What it has of a kind (`target`, `account`), in its own words.
    pub(super) fn show(&self, mode: &str) -> anyhow::Result<String> {
        self.adm(mode, "show", &[])
    }

    pub(super) fn new_target(&self, target: u32, name: &str) -> anyhow::Result<()> {
        let id = target.to_string();
        self.adm("target", "new", &["--tid", &id, "--targetname", name])
            .map(drop)
    }

    /// Sessions that are left end with it.
    pub(super) fn delete_target(&self, target: u32) -> anyhow::Result<()> {
        self.adm("target", "delete", &["--force", "--tid", &target.to_string()])
            .map(drop)
    }

    pub(super) fn allow(&self, target: u32, initiator: &str) -> anyhow::Result<()> {
        let id = target.to_string();
        self.adm("target", "bind", &["--tid", &id, "--initiator-name", initiator])
            .map(drop)
    }

    pub(super) fn disallow(&self, target: u32, initiator: &str) -> anyhow::Result<()> {
        let id = target.to_string();
        self.adm("target", "unbind", &["--tid", &id, "--initiator-name", initiator])
            .map(drop)
    }

    pub(super) fn new_account(&self, target: u32, user: &str, secret: &str) -> anyhow::Result<()> {
        self.adm("account", "new", &["--user", user, "--password", secret])?;
        let id = target.to_string();
        self.adm("account", "bind", &["--tid", &id, "--user", user])
            .map(drop)
    }

    pub(super) fn delete_account(&self, user: &str) -> anyhow::Result<()> {
        self.adm("account", "delete", &["--user", user]).map(drop)
    }

    pub(super) fn new_unit(&self, unit: Unit<'_>) -> anyhow::Result<()> {
        let (id, number) = (unit.target.to_string(), unit.number.to_string());
        let file = unit.file.display().to_string();
        let place = ["--tid", id.as_str(), "--lun", number.as_str()];
        self.adm(
            "logicalunit",
            "new",
            &[&place[..], &["--backing-store", &file]].concat(),
        )?;
        self.label_unit(unit)
    }

    /// Tells initiators who the unit is.
    pub(super) fn label_unit(&self, unit: Unit<'_>) -> anyhow::Result<()> {
        let (id, number) = (unit.target.to_string(), unit.number.to_string());
        let labels = format!(
            "vendor_id=QUARRY,product_id=LUN,scsi_sn={},scsi_id={},thin_provisioning=1",
            unit.serial, unit.wwid
        );
        self.adm(
            "logicalunit",
            "update",
            &["--tid", &id, "--lun", &number, "--params", &labels],
        )
        .map(drop)
    }

    pub(super) fn delete_unit(&self, target: u32, number: u16) -> anyhow::Result<()> {
        let (id, number) = (target.to_string(), number.to_string());
        self.adm("logicalunit", "delete", &["--tid", &id, "--lun", &number])
            .map(drop)
    }
}

impl Drop for Tgtd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
