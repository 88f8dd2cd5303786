//! What goes wrong between a store and its database: for simulations, which decide it for each thing that is asked.

use std::{borrow::Cow, error::Error, fmt};

use sqlx::error::{DatabaseError, ErrorKind};

/// What a database is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseAsk {
    /// To answer rows.
    Read,
    /// A statement of a transaction.
    Write,
    /// To make a transaction durable.
    Commit,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseFate {
    /// It happens and is answered.
    Answers,
    /// It does not happen; the answer is that the disk failed.
    FailsBefore,
    /// It happens; the answer is that the disk failed.
    FailsAfter,
}

/// Decides what goes wrong with a database.
pub trait DatabaseFaults: Send + Sync {
    /// What becomes of the next thing that is asked.
    fn next(&self, ask: DatabaseAsk) -> DatabaseFate;
}

pub(super) fn failed_disk() -> sqlx::Error {
    sqlx::Error::Database(Box::new(FailedDisk))
}

/// What SQLite says of a disk that fails (SQLITE_IOERR, <https://www.sqlite.org/rescode.html#ioerr>).
#[derive(Debug)]
struct FailedDisk;

impl fmt::Display for FailedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl Error for FailedDisk {}

impl DatabaseError for FailedDisk {
    fn message(&self) -> &str {
        "disk I/O error (simulated)"
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some("10".into())
    }

    fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}
