//! Why a transaction did not go through, and what follows from it.

use std::{fmt, sync::Arc};

use crate::commit::{Refused, StoreError};

/// Why an attempt to commit a batch failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// These commits are refused; the others may go through without them.
    Guilty(Vec<(usize, Refused)>),
    /// The database said no.
    Database {
        /// What was attempted.
        attempt: &'static str,
        /// What it said.
        source: sqlx::Error,
    },
    /// A row did not read.
    Unreadable(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Unreadable(error)
    }
}

/// What to do about an error of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A commit of the batch is at fault: find out which.
    Commit,
    /// Somebody else was faster: again.
    Again,
    /// The database itself cannot: nobody is at fault.
    Database,
}

/// Judges an error by its code: SQLite's numbers (the low byte is the kind), PostgreSQL's five characters (the first two
/// are the class).
pub(crate) fn kind(error: &sqlx::Error) -> Kind {
    let sqlx::Error::Database(said) = error else {
        return Kind::Database;
    };
    let code = said.code().unwrap_or_default();
    if code.len() == 5 {
        return match &*code {
            "40001" | "40P01" | "55P03" => Kind::Again,
            _ => match code.get(..2) {
                Some("08" | "53" | "57" | "58" | "F0" | "XX") => Kind::Database,
                _ => Kind::Commit,
            },
        };
    }
    // Busy and locked; then no memory, read-only, I/O, corrupt, full, cannot open, not a database.
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(5 | 6) => Kind::Again,
        Ok(7 | 8 | 10 | 11 | 13 | 14 | 26) | Err(_) => Kind::Database,
        Ok(_) => Kind::Commit,
    }
}

/// Whether a row that is pointed to, or is not there, was the reason.
pub(crate) fn is_foreign_key(error: &sqlx::Error) -> bool {
    // SQLite says 1811 (a trigger's constraint) where a RESTRICT key refuses, PostgreSQL from 18 on 23001.
    matches!(error, sqlx::Error::Database(said) if said.is_foreign_key_violation()
        || matches!(said.code().as_deref(), Some("1811" | "23001")))
}

/// One error for several waiters.
#[derive(Clone, Debug)]
struct Shared(Arc<sqlx::Error>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl std::error::Error for Shared {}

/// The same error for each of `count` waiters.
pub(crate) fn shared(attempt: &'static str, source: sqlx::Error, count: usize) -> Vec<StoreError> {
    let shared = Shared(Arc::new(source));
    (0..count)
        .map(|_| StoreError::Database {
            attempt,
            source: sqlx::Error::AnyDriverError(Box::new(shared.clone())),
        })
        .collect()
}
