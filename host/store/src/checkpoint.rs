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
/// Pages of the log (1 GiB) up to which it grows while somebody reads an old state for long (a backup, a recount): nothing can be
/// copied over what is still read, and the writer would only wait.
const FAR: i64 = 256 * 1024;
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
    let mut known = Pages::default();
    for _ in 0..PASSES {
        let rows = connection.fetch(&PASSIVE, &[]).await.map_err(failed)?;
        let pages = Pages::of(rows.first())?;
        match pages.after(&known) {
            Next::Enough => return Ok(()),
            Next::Restart => break,
            Next::Again => known = pages,
        }
    }
    connection.fetch(&RESTART, &[]).await.map_err(failed)?;
    Ok(())
}

/// What follows a pass.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// The log may grow on.
    Enough,
    /// Another pass beside the writer.
    Again,
    /// The writer waits for the rest.
    Restart,
}

/// What a pass found; -1 each when there is no log.
#[derive(Default)]
struct Pages {
    /// Pages in the log.
    log: i64,
    /// Of these, those that the database has by now.
    copied: i64,
}

impl Pages {
    fn of(row: Option<&Row>) -> Result<Self, StoreError> {
        let Some(row) = row else {
            return Ok(Self::default());
        };
        let mut columns = row.columns("wal_checkpoint");
        columns.take::<i64>("busy")?;
        let (log, copied) = (columns.take("log")?, columns.take("checkpointed")?);
        Ok(Self { log, copied })
    }

    /// What follows this pass, when the one before it found `known`.
    const fn after(&self, known: &Self) -> Next {
        let is_held = self.copied == known.copied && self.log - self.copied > NEAR;
        if self.log <= BOUND || (is_held && self.log <= FAR) {
            Next::Enough
        } else if is_held || self.log - known.log < NEAR {
            Next::Restart
        } else {
            Next::Again
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_waits_only_for_what_is_new_or_for_a_reader_that_never_ends() {
        let pages = |log, copied| Pages { log, copied };
        let first = pages(0, 0);
        let over = BOUND + 1;
        assert_eq!(pages(BOUND, 0).after(&first), Next::Enough);
        // Much was copied, and as much came meanwhile.
        assert_eq!(pages(over, over).after(&first), Next::Again);
        assert_eq!(
            pages(over + NEAR, over + NEAR).after(&pages(over, over)),
            Next::Again
        );
        assert_eq!(
            pages(over + NEAR - 1, over + NEAR - 1).after(&pages(over, over)),
            Next::Restart
        );
        // Somebody reads an old state.
        assert_eq!(pages(over + NEAR, 7).after(&pages(over, 7)), Next::Enough);
        assert_eq!(pages(FAR + 1, 7).after(&pages(FAR, 7)), Next::Restart);
    }
}
