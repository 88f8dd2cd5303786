//! A thin face over both databases: statements with one text for each, values, rows, a connection.

mod arrays;
mod asking;
mod cell;
mod connection;
mod direct;
mod faults;
mod line;
mod open;
mod readers;
mod refuse;
mod rows;
mod simulated;

pub(crate) use arrays::Kind;
pub(crate) use asking::Asking;
pub use asking::block_on;
pub(crate) use cell::{Cell, Columns, Json, Row, Word, describe, word};
pub(crate) use connection::Connection;
pub use faults::{DatabaseAsk, DatabaseFate, DatabaseFaults};
pub(crate) use open::{Database, Engine};
pub(crate) use refuse::{failed, postgres_version};
pub(crate) use rows::Bound;
pub(crate) use simulated::Simulation;
pub use simulated::{Simulated, SimulatedFile};

use std::{io, time::Duration};

use uuid::Uuid;
use velum_model::Timestamp;

/// What a database that does not answer in time counts as.
pub(crate) fn silence() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(
        io::ErrorKind::TimedOut,
        "the database did not answer in time",
    ))
}

/// Waits for so long at most. What was on its way is then in an unknown state: the connection is of no more use.
pub(crate) async fn within<T>(
    patience: Option<Duration>,
    asking: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match patience {
        Some(patience) => tokio::time::timeout(patience, asking)
            .await
            .unwrap_or_else(|_| Err(silence())),
        None => asking.await,
    }
}

/// A statement with its text for each database; the same wherever possible.
#[derive(Debug)]
pub(crate) struct Statement {
    /// What it does, for messages: completes "could not …".
    pub(crate) does: &'static str,
    /// Its text for SQLite.
    pub(crate) sqlite: &'static str,
    /// Its text for PostgreSQL.
    pub(crate) postgres: &'static str,
    /// How the writer gives it rows, if it takes some. The texts above take them as JSON.
    pub(crate) bound: Option<Bound>,
}

impl Statement {
    /// Its text for a database.
    pub(crate) const fn text(&self, engine: Engine) -> &'static str {
        match engine {
            Engine::Sqlite => self.sqlite,
            Engine::Postgres => self.postgres,
        }
    }

    /// A statement that both databases read alike.
    pub(crate) const fn common(does: &'static str, text: &'static str) -> Self {
        Self {
            does,
            sqlite: text,
            postgres: text,
            bound: None,
        }
    }
}

/// What the row of a running store says while a transaction of it is open, and after it became durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    /// The store.
    pub(crate) writer: Uuid,
    /// The number of the transaction.
    pub(crate) seq: i64,
    /// When it began.
    pub(crate) at: Timestamp,
}

/// A value bound to a placeholder. A null has a type, because PostgreSQL wants one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
}

impl Value {
    /// Whether it is nothing.
    pub(crate) const fn is_null(&self) -> bool {
        matches!(
            self,
            Self::Int(None) | Self::Text(None) | Self::Blob(None) | Self::Uuid(None)
        )
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}
impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(Some(i64::from(value)))
    }
}
impl From<u64> for Value {
    /// What is beyond the databases' integers is beyond every bound of the model: the largest stands for it.
    fn from(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}
impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Blob(Some(value.to_vec()))
    }
}
impl From<Uuid> for Value {
    fn from(value: Uuid) -> Self {
        Self::Uuid(Some(value))
    }
}
impl From<Option<Uuid>> for Value {
    fn from(value: Option<Uuid>) -> Self {
        Self::Uuid(value)
    }
}
impl<Of> From<velum_model::id::Id<Of>> for Value {
    fn from(value: velum_model::id::Id<Of>) -> Self {
        Self::Uuid(Some(value.uuid()))
    }
}
