//! A thin face over both databases: statements with one text for each, values, rows, a connection.

mod cell;
mod connection;
mod open;
mod readers;

pub(crate) use cell::{Cell, Columns, Json, Row, Word, word};
pub(crate) use connection::Connection;
pub(crate) use open::{Database, Engine};

use uuid::Uuid;

/// A statement with its text for each database; the same wherever possible.
#[derive(Debug)]
pub(crate) struct Statement {
    /// What it does, for messages: completes "could not …".
    pub(crate) does: &'static str,
    /// Its text for SQLite.
    pub(crate) sqlite: &'static str,
    /// Its text for PostgreSQL.
    pub(crate) postgres: &'static str,
}

impl Statement {
    /// A statement that both databases read alike.
    pub(crate) const fn common(does: &'static str, text: &'static str) -> Self {
        Self {
            does,
            sqlite: text,
            postgres: text,
        }
    }
}

/// A value bound to a placeholder. A null has a type, because PostgreSQL wants one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Vec<u8>),
    Uuid(Option<Uuid>),
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
        Self::Blob(value.to_vec())
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
