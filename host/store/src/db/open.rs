//! Opening: which database a URL names, how its connections are set up, the pool of readers.

use std::{sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    Row, Statement, Value,
    connection::{Connection, Inner, fetch_postgres, fetch_sqlite},
};
use crate::commit::StoreError;

/// Another process may hold SQLite's write lock for one batch (at most some 100 ms on a slow disk). What waited longer
/// tries again a few times, then says so.
const BUSY: Duration = Duration::from_secs(1);
/// Reads of SQLite are short and the machine has few cores: more connections would only be more page caches.
const SQLITE_READERS: u32 = 4;
/// A PostgreSQL server has 100 connections by default, shared by several servers.
const POSTGRES_READERS: u32 = 8;
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
    place: Arc<Place>,
    readers: Readers,
}

enum Place {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
}

#[derive(Clone)]
enum Readers {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Database {
    /// Reads the URL; opens nothing yet but a lazy pool.
    pub(crate) fn at(url: &str) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
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
            let readers = SqlitePoolOptions::new()
                .max_connections(SQLITE_READERS)
                .connect_lazy_with(
                    options
                        .clone()
                        .pragma("cache_size", CACHE)
                        .pragma("query_only", "ON"),
                );
            return Ok(Self {
                place: Arc::new(Place::Sqlite(options)),
                readers: Readers::Sqlite(readers),
            });
        }
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options: PgConnectOptions = url.parse().map_err(|_| {
                StoreError::Unusable(
                    "the database URL does not read as postgres://user@host:port/name".into(),
                )
            })?;
            let options = options
                .statement_cache_capacity(STATEMENTS)
                .disable_statement_logging();
            let readers = PgPoolOptions::new()
                .max_connections(POSTGRES_READERS)
                .connect_lazy_with(options.clone());
            return Ok(Self {
                place: Arc::new(Place::Postgres(options)),
                readers: Readers::Postgres(readers),
            });
        }
        Err(StoreError::Unusable(
            "a database URL begins with sqlite: or postgres:".into(),
        ))
    }

    pub(crate) fn engine(&self) -> Engine {
        match &*self.place {
            Place::Sqlite(_) => Engine::Sqlite,
            Place::Postgres(_) => Engine::Postgres,
        }
    }

    /// A connection for the writer. On SQLite it never checkpoints: that would make a commit wait.
    pub(crate) async fn writer(&self) -> Result<Connection, sqlx::Error> {
        self.connect(&[("wal_autocheckpoint", "0"), ("cache_size", WRITER_CACHE)])
            .await
    }

    /// A connection for checkpoints.
    pub(crate) async fn checkpointer(&self) -> Result<Connection, sqlx::Error> {
        self.connect(&[("wal_autocheckpoint", "0"), ("cache_size", CACHE)])
            .await
    }

    async fn connect(&self, pragmas: &[(&'static str, &'static str)]) -> Result<Connection, sqlx::Error> {
        Ok(Connection::new(match &*self.place {
            Place::Sqlite(options) => {
                let options = pragmas.iter().fold(options.clone(), |options, (name, value)| {
                    options.pragma(*name, *value)
                });
                Inner::Sqlite(Box::new(options.connect().await?))
            }
            Place::Postgres(options) => Inner::Postgres(Box::new(options.connect().await?)),
        }))
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
        self.fetch_text(statement.does, text.to_owned(), values).await
    }

    /// Runs a text that was put together from fixed parts on a reader; values only come bound.
    pub(crate) async fn fetch_text(
        &self,
        does: &'static str,
        text: String,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let failed = |source| StoreError::Database {
            attempt: does,
            source,
        };
        match &self.readers {
            Readers::Sqlite(pool) => {
                let mut connection = pool.acquire().await.map_err(failed)?;
                fetch_sqlite(&mut connection, AssertSqlSafe(text), values).await
            }
            Readers::Postgres(pool) => {
                let mut connection = pool.acquire().await.map_err(failed)?;
                fetch_postgres(&mut connection, AssertSqlSafe(text), values).await
            }
        }
        .map_err(failed)
    }

    /// Runs several texts, put together from fixed parts, on one reader as of one instant.
    pub(crate) async fn snapshot<const N: usize>(
        &self,
        does: &'static str,
        texts: [String; N],
        values: &[Value],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let failed = |source| StoreError::Database {
            attempt: does,
            source,
        };
        let mut answers = Vec::with_capacity(N);
        match &self.readers {
            Readers::Sqlite(pool) => {
                let mut transaction = pool.begin().await.map_err(failed)?;
                for text in texts {
                    let rows = fetch_sqlite(&mut transaction, AssertSqlSafe(text), values).await;
                    answers.push(rows.map_err(failed)?);
                }
            }
            Readers::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                let mut transaction = pool.begin_with(begin).await.map_err(failed)?;
                for text in texts {
                    let rows = fetch_postgres(&mut transaction, AssertSqlSafe(text), values).await;
                    answers.push(rows.map_err(failed)?);
                }
            }
        }
        Ok(answers)
    }

    /// Closes the readers.
    pub(crate) async fn close(&self) {
        match &self.readers {
            Readers::Sqlite(pool) => pool.close().await,
            Readers::Postgres(pool) => pool.close().await,
        }
    }
}
