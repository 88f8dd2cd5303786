//! Users of their own for plugins' processes, where the server may give them: then the kernel keeps them apart from the server
//! and from one another by the oldest of its rules too, whatever the other layers are worth on this machine.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use rustix::{
    process::{Gid, Uid},
    thread::{CapabilitySet, capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

/// How many uids are used, from the first on: more than there are components of drivers and providers on one server.
const COUNT: u32 = 1_000;

/// See the module.
#[derive(Debug)]
pub struct Uids {
    first: u32,
    given: AtomicU32,
}

/// Why plugins' processes cannot have uids of their own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UidsError {
    /// They would have root's, or more than there are.
    #[error(
        "{first} is no first of {COUNT} uids: it must be between 1 and {}",
        Uids::MAX_FIRST
    )]
    Range {
        /// What was asked for.
        first: u32,
    },
    /// The server may not change uids, or not signal what has another one.
    #[error("this process has no {missing}: start it as root, or with CAP_SETUID, CAP_SETGID and CAP_KILL")]
    Capability {
        /// What it does not have.
        missing: &'static str,
    },
    /// The kernel does not say what this process may do.
    #[error("could not see what this process may do: {0}")]
    Unknown(String),
}

impl Uids {
    /// The largest first uid: all of them follow it, and the last number there is means nobody.
    pub const MAX_FIRST: u32 = u32::MAX - 1 - COUNT;

    /// The uids from `first` on, if this process may give them.
    ///
    /// # Errors
    /// [`UidsError`].
    pub fn from(first: u32) -> Result<Arc<Self>, UidsError> {
        if first == 0 || first > Self::MAX_FIRST {
            return Err(UidsError::Range { first });
        }
        let may = capabilities(None).map_err(|error| UidsError::Unknown(error.to_string()))?;
        let needed = [
            (CapabilitySet::SETUID, "CAP_SETUID"),
            (CapabilitySet::SETGID, "CAP_SETGID"),
            (CapabilitySet::KILL, "CAP_KILL"),
        ];
        match needed.iter().find(|(needed, _)| !may.effective.contains(*needed)) {
            Some((_, missing)) => Err(UidsError::Capability { missing }),
            None => Ok(Arc::new(Self {
                first,
                given: AtomicU32::new(0),
            })),
        }
    }

    /// The next of them: a process that starts again gets another one.
    pub(crate) fn next(&self) -> u32 {
        self.first + self.given.fetch_add(1, Ordering::Relaxed) % COUNT
    }
}

/// Makes this process one of that user and of the group of the same number. Called before a second thread exists: the calls
/// are about one thread.
///
/// # Errors
/// What the kernel says.
pub fn become_user(uid: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}
