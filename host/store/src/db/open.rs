//! Opening: which database a URL names, how its connections are set up.

use std::{sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, SqlSafeStr as _,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{
    Row, Statement, Value,
    connection::{Connection, Inner},
    readers::Readers,
};
use crate::commit::StoreError;

/// Another process may hold SQLite's write lock for one batch (at most some 100 ms on a slow disk). What waited longer
/// tries again a few times, then says so.
const BUSY: Duration = Duration::from_secs(1);
/// Reads of SQLite are short and the machine has few cores: more connections would only be more page caches. As many again
/// are for what goes on beside the requests.
const SQLITE_READERS: usize = 4;
/// A PostgreSQL server has 100 connections by default, shared by several servers.
const POSTGRES_READERS: usize = 8;
/// Every statement of the store, prepared once a connection.
const STATEMENTS: usize = 512;
/// A reader's page cache, KiB (negative: the PRAGMA's way to say so): with 4 readers under the server's memory budget.
const CACHE: &str = "-4096";
/// The writer's page cache, KiB: the random pages of a batch.
const WRITER_CACHE: &str = "-32768";

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// A database, and its readers.
#[derive(Clone)]
pub(crate) struct Database {
    place: Place,
    readers: Arc<Readers>,
}

/// Where it is, and how a connection is set up.
#[derive(Clone)]
pub(super) enum Place {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
}

impl Place {
    /// A connection that only reads.
    pub(super) async fn reader(&self) -> Result<Connection, sqlx::Error> {
        self.connect(&[("cache_size", CACHE), ("query_only", "ON")]).await
    }

    /// A connection; the pragmas are SQLite's.
    async fn connect(&self, pragmas: &[(&'static str, &'static str)]) -> Result<Connection, sqlx::Error> {
        Ok(Connection::new(match self {
            Self::Sqlite(options) => {
                let options = pragmas.iter().fold(options.clone(), |options, (name, value)| {
                    options.pragma(*name, *value)
                });
                Inner::Sqlite(Box::new(options.connect().await?))
            }
            Self::Postgres(options) => Inner::Postgres(Box::new(options.connect().await?)),
        }))
    }
}

impl Database {
    /// Reads the URL; opens nothing yet.
    pub(crate) fn at(url: &str) -> Result<Self, StoreError> {
        let (place, readers) = if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let options = SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(BUSY)
                .statement_cache_capacity(STATEMENTS)
                .disable_statement_logging();
            (Place::Sqlite(options), SQLITE_READERS)
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options: PgConnectOptions = url.parse().map_err(|_| {
                StoreError::Unusable(
                    "the database URL does not read as postgres://user@host:port/name".into(),
                )
            })?;
            let options = options
                .statement_cache_capacity(STATEMENTS)
                .disable_statement_logging();
            (Place::Postgres(options), POSTGRES_READERS)
        } else {
            return Err(StoreError::Unusable(
                "a database URL begins with sqlite: or postgres:".into(),
            ));
        };
        Ok(Self {
            readers: Arc::new(Readers::new(place.clone(), readers)),
            place,
        })
    }

    /// The same database with readers of its own.
    pub(crate) fn aside(&self) -> Self {
        let size = match self.engine() {
            Engine::Sqlite => SQLITE_READERS,
            Engine::Postgres => POSTGRES_READERS,
        };
        Self {
            place: self.place.clone(),
            readers: Arc::new(self.readers.aside(size)),
        }
    }

    /// Opens SQLite's readers, once the database is there and current: their threads inherit the priority of whoever
    /// opens them. PostgreSQL's are opened when they are wanted.
    pub(crate) async fn open_readers(&self) -> Result<(), StoreError> {
        if self.engine() == Engine::Postgres {
            return Ok(());
        }
        self.readers.open().await.map_err(|source| StoreError::Database {
            attempt: "open the database for reading",
            source,
        })
    }

    pub(crate) fn engine(&self) -> Engine {
        match &self.place {
            Place::Sqlite(_) => Engine::Sqlite,
            Place::Postgres(_) => Engine::Postgres,
        }
    }

    /// A connection for the writer. On SQLite it never checkpoints: that would make a commit wait.
    pub(crate) async fn writer(&self) -> Result<Connection, sqlx::Error> {
        let pragmas = [("wal_autocheckpoint", "0"), ("cache_size", WRITER_CACHE)];
        self.place.connect(&pragmas).await
    }

    /// A connection for checkpoints.
    pub(crate) async fn checkpointer(&self) -> Result<Connection, sqlx::Error> {
        let pragmas = [("wal_autocheckpoint", "0"), ("cache_size", CACHE)];
        self.place.connect(&pragmas).await
    }

    /// Runs a statement on a reader.
    pub(crate) async fn fetch(
        &self,
        statement: &Statement,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let text = match self.engine() {
            Engine::Sqlite => statement.sqlite,
            Engine::Postgres => statement.postgres,
        };
        let rows = self.readers.one(text.into_sql_str(), values).await;
        rows.map_err(|source| StoreError::Database {
            attempt: statement.does,
            source,
        })
    }

    /// Runs a text that was put together from fixed parts on a reader; values only come bound.
    pub(crate) async fn fetch_text(
        &self,
        does: &'static str,
        text: String,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let rows = self.readers.one(AssertSqlSafe(text).into_sql_str(), values).await;
        rows.map_err(|source| StoreError::Database {
            attempt: does,
            source,
        })
    }

    /// Runs several texts, put together from fixed parts, on one reader as of one instant.
    pub(crate) async fn snapshot<const N: usize>(
        &self,
        does: &'static str,
        texts: [String; N],
        values: &[Value],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let texts = texts.map(|text| AssertSqlSafe(text).into_sql_str());
        let rows = self.readers.together(texts.into(), values).await;
        rows.map_err(|source| StoreError::Database {
            attempt: does,
            source,
        })
    }

    /// Statements that the readers were sent.
    pub(crate) fn statements_read(&self) -> u64 {
        self.readers.statements()
    }

    /// Closes the readers.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
    }
}
