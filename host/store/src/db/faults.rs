//! What goes wrong between a store and its database: for simulations, which decide it for each thing that is asked.

use super::direct::Said;

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

/// What SQLite says of a disk that fails (SQLITE_IOERR, <https://www.sqlite.org/rescode.html#ioerr>).
pub(super) fn failed_disk() -> sqlx::Error {
    Said::new(10, "disk I/O error (simulated)").into()
}
