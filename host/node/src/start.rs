//! What must be so before the node serves.

use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::{
        fs::{DirBuilderExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use tokio::net::UnixListener;
use velum_model::port::{
    node::NodeHello,
    storage::{Initiator, registry},
};

use crate::gate::LogError;

/// Why the node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system refused something.
    #[error("{doing} {path} failed")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another node is there.
    #[error("another velum-node uses {0}: stop it first, or choose another --socket and --state")]
    InUse(PathBuf),
    /// The group is not there.
    #[error("there is no group {0}: add it (groupadd {0}), or leave --group out")]
    NoGroup(String),
    /// The gate's log.
    #[error("the gate cannot be opened")]
    Gate(#[from] LogError),
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StartError {
    let path = path.to_owned();
    move |source| StartError::Io { doing, path, source }
}

/// Makes a directory with its parents. Others may pass through it (the hypervisor's user opens seeds by name), not list it.
pub(crate) fn make_directory(path: &Path) -> Result<(), StartError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(path)
        .map_err(failed("making", path))
}

fn line_of(path: &str) -> Result<String, StartError> {
    std::fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(failed("reading", Path::new(path)))
}

/// Who this node is.
pub(crate) fn hello(state: &Path) -> Result<NodeHello, StartError> {
    Ok(NodeHello {
        boot_id: line_of("/proc/sys/kernel/random/boot_id")?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        hostname: line_of("/proc/sys/kernel/hostname")?,
        initiators: vec![Initiator {
            kind: registry::INITIATOR_IQN,
            value: crate::initiator::name(state)?,
        }],
    })
}

/// The number of this process's first report: higher than any of an earlier process under the same boot id, because it
/// counts from the time since boot. A report takes far longer than the 10 ms / 2^20 that one number stands for.
pub(crate) fn first_sequence() -> Result<u64, StartError> {
    let uptime = line_of("/proc/uptime")?;
    let seconds: f64 = uptime
        .split(' ')
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.0);
    Ok(((seconds * 100.0) as u64) << 20)
}

/// Holds a state directory for this process.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes it.
    ///
    /// # Errors
    /// [`StartError::InUse`] when another process has it.
    pub fn take(state: &Path) -> Result<Self, StartError> {
        make_directory(state)?;
        let path = state.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed("opening", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StartError::InUse(state.to_owned())),
            Err(error) => Err(failed("locking", &path)(error.into())),
        }
    }
}

/// Binds the socket, readable and writable for owner and group. A socket that nobody listens on any more is replaced.
///
/// # Errors
/// [`StartError::InUse`] when somebody listens; [`StartError::NoGroup`].
pub fn bind(socket: &Path, group: Option<&str>) -> Result<UnixListener, StartError> {
    if let Some(parent) = socket.parent().filter(|parent| !parent.exists()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(failed("making", parent))?;
    }
    let gid = group.map(gid_of).transpose()?;
    if UnixStream::connect(socket).is_ok() {
        return Err(StartError::InUse(socket.to_owned()));
    }
    match std::fs::remove_file(socket) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("removing", socket)(e)),
        _ => {}
    }
    let listener = UnixListener::bind(socket).map_err(failed("binding", socket))?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o660))
        .map_err(failed("setting the mode of", socket))?;
    if let Some(gid) = gid {
        std::os::unix::fs::chown(socket, None, Some(gid)).map_err(failed("setting the group of", socket))?;
    }
    Ok(listener)
}

fn gid_of(group: &str) -> Result<u32, StartError> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = std::fs::read_to_string("/etc/group").map_err(failed("reading", Path::new("/etc/group")))?;
    groups
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok())?
        })
        .next()
        .ok_or_else(|| StartError::NoGroup(group.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_instance_is_refused_and_a_dead_socket_is_not_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("run/node.sock");
        let first = bind(&socket, None).unwrap();
        assert_eq!(
            std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777,
            0o660
        );
        assert!(matches!(bind(&socket, None), Err(StartError::InUse(_))));
        drop(first);
        bind(&socket, Some("root")).unwrap();
        assert!(matches!(
            bind(&dir.path().join("b"), Some("no-such-group")),
            Err(StartError::NoGroup(_))
        ));
        let held = StateLock::take(dir.path()).unwrap();
        assert!(matches!(StateLock::take(dir.path()), Err(StartError::InUse(_))));
        drop(held);
        StateLock::take(dir.path()).unwrap();
    }
}
