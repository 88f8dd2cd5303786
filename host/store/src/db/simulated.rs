//! The database of a simulation: a file that is taken back to where it began as often as is wanted, and what goes wrong
//! with it.
//!
//! A simulation opens some stores a second, each with a few connections. Opening them, and preparing every statement
//! anew, was half of what a run cost; so a store that closes leaves its connections to the next.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sqlx::{
    AssertSqlSafe, Connection as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

use super::{DatabaseAsk, DatabaseFate, DatabaseFaults, direct::Direct, faults::failed_disk, refuse::failed};
use crate::commit::StoreError;

/// How a connection is set up beyond what all have.
pub(super) type Pragmas = &'static [(&'static str, &'static str)];

/// A file with connections that outlive the stores on it. Clones are the same.
#[derive(Clone)]
pub struct SimulatedFile(Arc<Kept>);

struct Kept {
    file: PathBuf,
    idle: Mutex<Vec<(Pragmas, SqliteConnection)>>,
    direct: Mutex<Vec<(Pragmas, Direct)>>,
}

impl SimulatedFile {
    /// A file that need not be there yet.
    #[must_use]
    pub fn new(file: PathBuf) -> Self {
        Self(Arc::new(Kept {
            file,
            idle: Mutex::default(),
            direct: Mutex::default(),
        }))
    }

    /// As a store's options name it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("sqlite:{}", self.0.file.display())
    }

    /// Takes every row back to what another file has; no store may be open on it.
    ///
    /// # Errors
    /// [`StoreError::Database`] when that cannot be done.
    pub async fn begin_again(&self, ground: &Path) -> Result<(), StoreError> {
        let does = "take a simulated file back to its beginning";
        if !self.0.file.exists() {
            let copied = std::fs::copy(ground, &self.0.file);
            return copied.map(drop).map_err(|error| failed(does, error.into()));
        }
        let begun = self.rewrite(ground).await;
        begun.map_err(|source| failed(does, source))
    }

    async fn rewrite(&self, ground: &Path) -> Result<(), sqlx::Error> {
        let mut connection = match self.take(REWRITES) {
            Some(connection) => connection,
            None => self.rewriter(ground).await?,
        };
        let mut text = String::from("BEGIN IMMEDIATE;\n");
        let tables = "SELECT name FROM ground.sqlite_schema WHERE type = 'table'";
        for row in sqlx::query(tables).fetch_all(&mut connection).await? {
            let table: String = row.try_get(0)?;
            text += &format!(
                "DELETE FROM main.{table};\nINSERT INTO main.{table} SELECT * FROM ground.{table};\n"
            );
        }
        text += "COMMIT;\nPRAGMA wal_checkpoint(TRUNCATE)";
        sqlx::raw_sql(AssertSqlSafe(text))
            .execute(&mut connection)
            .await?;
        self.idle().push((REWRITES, connection));
        Ok(())
    }

    async fn rewriter(&self, ground: &Path) -> Result<SqliteConnection, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(&self.0.file)
            .journal_mode(SqliteJournalMode::Wal)
            .foreign_keys(false);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let text = format!("ATTACH '{}' AS ground", ground.display());
        sqlx::raw_sql(AssertSqlSafe(text))
            .execute(&mut connection)
            .await?;
        Ok(connection)
    }

    /// Closes every connection: then the file is whole without its log.
    ///
    /// # Errors
    /// [`StoreError::Database`] when one does not close.
    pub async fn close(&self) -> Result<(), StoreError> {
        let idle = std::mem::take(&mut *self.idle());
        for (_, connection) in idle {
            let closed = connection.close().await;
            closed.map_err(|source| failed("close a simulated file", source))?;
        }
        let direct = std::mem::take(&mut *self.direct());
        for (_, connection) in direct {
            let closed = connection.close();
            closed.map_err(|source| failed("close a simulated file", source))?;
        }
        Ok(())
    }

    fn take(&self, pragmas: Pragmas) -> Option<SqliteConnection> {
        let mut idle = self.idle();
        let at = idle.iter().position(|(with, _)| *with == pragmas)?;
        Some(idle.swap_remove(at).1)
    }

    fn direct(&self) -> MutexGuard<'_, Vec<(Pragmas, Direct)>> {
        self.0.direct.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Pragmas, SqliteConnection)>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection that rewrites the rows.
const REWRITES: Pragmas = &[("foreign_keys", "OFF")];

/// What a simulation puts under a store.
#[derive(Clone)]
pub struct Simulated {
    /// The file.
    pub file: SimulatedFile,
    /// What goes wrong.
    pub faults: Arc<dyn DatabaseFaults>,
}

/// That of a connection; none in a server.
#[derive(Clone, Default)]
pub(crate) struct Simulation(Option<Simulated>);

impl From<Simulated> for Simulation {
    fn from(simulated: Simulated) -> Self {
        Self(Some(simulated))
    }
}

impl Simulation {
    /// A connection that an earlier store left.
    pub(super) fn take(&self, pragmas: Pragmas) -> Option<SqliteConnection> {
        self.0.as_ref()?.file.take(pragmas)
    }

    /// The same of one that answers on the thread that asks.
    pub(super) fn take_direct(&self, pragmas: Pragmas) -> Option<Direct> {
        let mut direct = self.0.as_ref()?.file.direct();
        let at = direct.iter().position(|(with, _)| *with == pragmas)?;
        Some(direct.swap_remove(at).1)
    }

    /// Closes it, or leaves it to the next store.
    pub(super) fn leave_direct(&self, pragmas: Pragmas, connection: Direct) -> Result<(), sqlx::Error> {
        let Some(simulated) = &self.0 else {
            return connection.close();
        };
        // There is none, as a rule: then this is refused.
        drop(connection.raw("ROLLBACK"));
        simulated.file.direct().push((pragmas, connection));
        Ok(())
    }

    /// Closes a connection, or leaves it to the next store.
    pub(super) async fn leave(
        &self,
        pragmas: Pragmas,
        mut connection: SqliteConnection,
    ) -> Result<(), sqlx::Error> {
        let Some(simulated) = &self.0 else {
            return connection.close().await;
        };
        // There is none, as a rule: then this is refused.
        drop(sqlx::raw_sql("ROLLBACK").execute(&mut connection).await);
        simulated.file.idle().push((pragmas, connection));
        Ok(())
    }

    /// Does what is asked as far as it is to happen.
    pub(super) async fn meet<T>(
        &self,
        ask: DatabaseAsk,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let fate = self
            .0
            .as_ref()
            .map_or(DatabaseFate::Answers, |simulated| simulated.faults.next(ask));
        match fate {
            DatabaseFate::Answers => work.await,
            DatabaseFate::FailsBefore => Err(failed_disk()),
            DatabaseFate::FailsAfter => work.await.and_then(|_| Err(failed_disk())),
        }
    }
}
