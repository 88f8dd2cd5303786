//! Why a transaction did not go through, and what follows from it.

use std::{fmt, sync::Arc};

use crate::{
    db::Statement,
    error::{Refused, StoreError, Trouble},
};

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
    /// A statement changed fewer rows than it was given: it is to be asked which.
    SomeMissed,
    /// It is decided by what another transaction may just be changing: again when none is under way.
    OnlyAlone,
    /// A row did not read.
    Unreadable(StoreError),
}

impl Failure {
    /// Of a statement that the database said no to.
    pub(crate) const fn of(statement: &Statement, source: sqlx::Error) -> Self {
        Self::Database {
            attempt: statement.does,
            source,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Database { attempt, source } => Self::Database { attempt, source },
            other => Self::Unreadable(other),
        }
    }
}

/// What to do about an error of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A commit of the batch is at fault: find out which.
    Commit,
    /// Somebody else was faster: again.
    Again,
    /// The connection is gone, or the database is just starting: again on a new one.
    Lost,
    /// The database itself cannot: nobody is at fault.
    Database,
}

/// Judges an error by its code: SQLite's numbers (the low byte is the kind), PostgreSQL's five characters (the first two
/// are the class).
pub(crate) fn kind(error: &sqlx::Error) -> Kind {
    let said = match error {
        sqlx::Error::Database(said) => said,
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => return Kind::Lost,
        // A value that is not of its column's kind never went out.
        sqlx::Error::Encode(_) => return Kind::Commit,
        _ => return Kind::Database,
    };
    let code = said.code().unwrap_or_default();
    if code.len() == 5 {
        return match &*code {
            "40001" | "40P01" | "55P03" => Kind::Again,
            // A backend that was ended, a server that stops or starts or has no backend left, a transaction that was
            // silent for too long (this server stood still in the middle of it); a COMMIT of which a distributed engine does not know what became.
            "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "25P03" | "40003" => Kind::Lost,
            _ => match code.get(..2) {
                Some("08") => Kind::Lost,
                // The last ones: no such user, no such database.
                Some("53" | "57" | "58" | "F0" | "XX" | "28" | "3D") => Kind::Database,
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

/// Whether a COMMIT that failed with this error certainly did not happen. Else it must be looked up: the connection may
/// have broken on the way back, and SQLite may have written what it then could not make durable.
pub(crate) fn is_certain(error: &sqlx::Error) -> bool {
    let is_full = matches!(error, sqlx::Error::Database(said) if said.code().as_deref() == Some("13"));
    is_full || matches!(kind(error), Kind::Again | Kind::Commit)
}

/// Whether a row that is pointed to, or is not there, was the reason.
pub(crate) fn is_foreign_key(error: &sqlx::Error) -> bool {
    // SQLite says 1811 (a trigger's constraint) where a RESTRICT key refuses, PostgreSQL from 18 on 23001.
    matches!(error, sqlx::Error::Database(said) if said.is_foreign_key_violation()
        || matches!(said.code().as_deref(), Some("1811" | "23001")))
}

/// What keeps the database from being used, when that is what an error says.
pub(crate) fn trouble(error: &sqlx::Error) -> Option<Trouble> {
    let error = match error {
        sqlx::Error::AnyDriverError(inner) => {
            inner.downcast_ref::<Shared>().map_or(error, |shared| &shared.0)
        }
        other => other,
    };
    let code = match error {
        sqlx::Error::Database(said) => said.code().unwrap_or_default().into_owned(),
        // A handshake that was cut off, and a server that is just stopping.
        sqlx::Error::Tls(_) | sqlx::Error::PoolClosed => return Some(Trouble::Away),
        _ => String::new(),
    };
    match &*code {
        "13" | "53100" => Some(Trouble::Full),
        _ => match kind(error) {
            Kind::Lost | Kind::Again => Some(Trouble::Away),
            // What PostgreSQL lacks or is being done to it; SQLite's I/O.
            Kind::Database if matches!(code.get(..2), Some("53" | "57" | "58")) => Some(Trouble::Away),
            // It takes reads alone: the one that writes is another just now.
            Kind::Commit if code == "25006" => Some(Trouble::Away),
            Kind::Database if code.len() != 5 && code.parse::<u32>().is_ok_and(|code| code & 0xff == 10) => {
                Some(Trouble::Away)
            }
            _ => None,
        },
    }
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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// What a server is told while it is cut off: by the kernel, by its own patience, in the middle of the protocol.
    #[test]
    fn a_network_that_is_gone_is_a_database_that_does_not_answer() {
        let from_kernel = |number| sqlx::Error::Io(io::Error::from_raw_os_error(number));
        // A black hole among the routes, a broken pipe, no network, a reset, a refusal, no route.
        let seen = [22, 32, 101, 104, 111, 113].map(from_kernel);
        let own = [
            crate::db::silence(),
            sqlx::Error::Protocol("cut off in the middle".into()),
            sqlx::Error::Tls("cut off in the handshake".into()),
            sqlx::Error::PoolClosed,
        ];
        for error in seen.into_iter().chain(own) {
            let words = error.to_string();
            assert_eq!(trouble(&error), Some(Trouble::Away), "{words}");
            for told in shared("commit a transaction", error, 2) {
                assert_eq!(told.trouble(), Some(Trouble::Away), "{words}");
            }
        }
    }

    /// Whose it is is found out by trying halves of the batch, and not answered to all of it.
    #[test]
    fn a_value_that_does_not_fit_is_the_fault_of_one_commit() {
        assert!(kind(&sqlx::Error::Encode("text for a number".into())) == Kind::Commit);
    }
}
