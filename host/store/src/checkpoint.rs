//! Checkpoints of SQLite's log, on a connection of their own: a commit never waits for one, unless the log grew beyond
//! its bound.

use std::time::Duration;

use tokio::sync::watch;

use crate::{
    commit::StoreError,
    db::{Connection, Database, Engine, Row, Statement},
};

/// Between two checkpoints: long enough that pages written again and again are copied once.
const EVERY: Duration = Duration::from_millis(250);
/// Pages of the log (4 KiB each: 64 MiB) beyond which a checkpoint makes the writer wait, so that the log begins again.
const BOUND: i64 = 16 * 1024;
/// New pages (4 MiB) of a pass that was short enough: only what was written during it is copied while the writer waits. Until then
/// the log is copied beside the writer, each time what was written during the time before.
const NEAR: i64 = 1024;
/// How often at most: a writer that is as fast as the disk is not caught up with.
const PASSES: u32 = 6;

/// Copies what it can without making anyone wait.
const PASSIVE: Statement = Statement {
    does: "checkpoint",
    sqlite: "PRAGMA wal_checkpoint(PASSIVE)",
    postgres: "SELECT 0, 0, 0",
    bound: None,
};
/// Copies everything and makes the writer begin the log again.
const RESTART: Statement = Statement {
    does: "checkpoint and begin the log again",
    sqlite: "PRAGMA wal_checkpoint(RESTART)",
    postgres: "SELECT 0, 0, 0",
    bound: None,
};

/// Checkpoints after transactions until the writer is gone; `_ends` closes when that is done.
pub(crate) async fn run(database: Database, mut wrote: watch::Receiver<u64>, _ends: watch::Sender<()>) {
    if database.engine() != Engine::Sqlite {
        return;
    }
    let mut connection = None;
    while wrote.changed().await.is_ok() {
        // Not for longer than there is a writer.
        let more = async { while wrote.changed().await.is_ok() {} };
        let is_last = tokio::time::timeout(EVERY, more).await.is_ok();
        if is_last {
            break;
        }
        if let Err(error) = checkpoint(&database, &mut connection).await {
            tracing::warn!(%error, "could not checkpoint; the log grows until it can");
            connection = None;
        }
    }
    if let Some(connection) = connection
        && let Err(error) = connection.close().await
    {
        tracing::warn!(%error, "could not close the connection for checkpoints");
    }
}

async fn checkpoint(database: &Database, kept: &mut Option<Connection>) -> Result<(), StoreError> {
    let failed = |source| StoreError::Database {
        attempt: PASSIVE.does,
        source,
    };
    let connection = match kept {
        Some(connection) => connection,
        None => kept.insert(database.checkpointer().await.map_err(failed)?),
    };
    let mut known = 0;
    for _ in 0..PASSES {
        let rows = connection.fetch(&PASSIVE, &[]).await.map_err(failed)?;
        let log = pages(rows.first())?;
        if log <= BOUND {
            return Ok(());
        }
        let new = log - known;
        known = log;
        if new < NEAR {
            break;
        }
    }
    connection.fetch(&RESTART, &[]).await.map_err(failed)?;
    Ok(())
}

/// Pages in the log; -1 when there is none.
fn pages(row: Option<&Row>) -> Result<i64, StoreError> {
    let Some(row) = row else { return Ok(0) };
    let mut columns = row.columns("wal_checkpoint");
    columns.take::<i64>("busy")?;
    columns.take("log")
}
