//! dbus, virtlogd and libvirtd, started when they do not run, stopped when this started them. One test at a time.

use std::{
    fs::File,
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// What was started, to be stopped.
pub struct Daemons {
    libvirtd: Option<Child>,
    virtlogd: Option<Child>,
    dbus: Option<Child>,
    _turn: File,
}

fn answers(socket: &str) -> bool {
    UnixStream::connect(socket).is_ok()
}

async fn appears(socket: &str) {
    for _ in 0..200 {
        if answers(socket) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{socket} does not answer");
}

async fn started(socket: &str, program: &str, arguments: &[&str]) -> Option<Child> {
    if answers(socket) {
        return None;
    }
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    appears(socket).await;
    Some(child)
}

const DBUS: &str = "/run/dbus/system_bus_socket";
const VIRTLOGD: &str = "/run/libvirt/virtlogd-sock";
const LIBVIRTD: &str = "/run/libvirt/libvirt-sock";

impl Daemons {
    /// Waits for its turn and starts what does not run.
    pub async fn start() -> Self {
        let turn = File::create(std::env::temp_dir().join("velum-test-libvirtd.lock")).unwrap();
        let turn = tokio::task::spawn_blocking(move || turn.lock().map(|()| turn))
            .await
            .unwrap()
            .unwrap();
        std::fs::create_dir_all("/run/dbus").unwrap();
        if !answers(DBUS) {
            // A daemon that was killed leaves its pid file, and the next one stops at it.
            let _ = std::fs::remove_file("/run/dbus/pid");
        }
        let dbus = started(DBUS, "dbus-daemon", &["--system", "--nofork"]).await;
        let virtlogd = started(VIRTLOGD, "virtlogd", &[]).await;
        let mut daemons = Self {
            libvirtd: None,
            virtlogd,
            dbus,
            _turn: turn,
        };
        daemons.start_libvirtd().await;
        daemons
    }

    /// Starts libvirtd if none answers.
    pub async fn start_libvirtd(&mut self) {
        self.libvirtd = started(LIBVIRTD, "libvirtd", &[]).await;
    }

    /// Kills the libvirtd that this started; false when it is another's.
    pub async fn kill_libvirtd(&mut self) -> bool {
        match self.libvirtd.take() {
            Some(mut child) => {
                child.kill().unwrap();
                child.wait().unwrap();
                true
            }
            None => false,
        }
    }

    /// Stops what this started.
    pub async fn stop(self) {
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

/// Also when a test fails.
impl Drop for Daemons {
    fn drop(&mut self) {
        let all = [self.libvirtd.take(), self.virtlogd.take(), self.dbus.take()];
        for mut child in all.into_iter().flatten() {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }
}
