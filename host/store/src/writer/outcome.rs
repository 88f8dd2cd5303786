//! What became of a transaction: durable, failed, or not known, for the connection broke at its COMMIT.
//!
//! A store numbers its transactions, and each writes its number into the store's own row before anything else
//! (`writer_mark`). Who reads that row on another connection waits for a transaction that is still open on the broken one,
//! and then finds the number of the last that became durable.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::{
    Failure, Writer,
    apply::Applied,
    failure::{self, Kind},
};
use crate::{
    commit::{Commit, StoreError},
    db::{Connection, Mark, Value},
    sql::rest::READ_MARK,
};

/// What a waiter is told that was attempted, when it is not known what became of its commit.
pub(crate) const LEARN: &str = "learn whether a transaction became durable";
/// How long those who wait are kept while the database is away: PostgreSQL starts again within some seconds, and whoever
/// asks over HTTP waits no longer than some thirty. It is longer than a silent transaction lasts (`db/open.rs`).
const PATIENCE: Duration = Duration::from_secs(10);
/// Before a connection is tried again. A backend that was ended can be replaced at once, a server that starts needs a while:
/// each pause is twice the last, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// A server that starts is not asked more often than this.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A transaction and what became of it.
pub(crate) enum Attempt<T, E = Failure> {
    /// It is durable.
    Durable(T),
    /// Nothing of it is there.
    Failed(E),
    /// COMMIT was sent and not answered.
    Unknown {
        /// Its number.
        seq: i64,
        /// What it did, if it is durable.
        done: T,
        /// What happened instead of an answer.
        source: sqlx::Error,
    },
}

/// What was answered with an error, though it may have become durable: nothing else is written before that is known, so
/// that the observer hears everything, and in its order.
pub(crate) struct Left {
    /// Whose mark has its number.
    writer: Uuid,
    seq: i64,
    commits: Vec<Commit>,
    applied: Applied,
}

/// Since when the database does not answer, and how long it is given until it is asked again.
#[derive(Clone, Copy)]
pub(crate) struct Lost {
    since: Instant,
    pause: Duration,
}

impl Default for Lost {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            pause: FIRST_PAUSE,
        }
    }
}

impl Lost {
    /// Waits a little longer each time. False when that was long enough.
    pub(crate) async fn pause(&mut self) -> bool {
        if self.since.elapsed() + self.pause > PATIENCE {
            return false;
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

/// Ends a transaction whose statements went like this.
pub(crate) async fn conclude<T, E: From<StoreError>>(
    connection: &mut Connection,
    seq: i64,
    worked: Result<T, E>,
) -> Attempt<T, E> {
    let done = match worked {
        Ok(done) => done,
        Err(failure) => return Attempt::Failed(failure),
    };
    match connection.commit().await {
        Ok(()) => Attempt::Durable(done),
        Err(source) if failure::is_certain(&source) => Attempt::Failed(not_committed(source).into()),
        Err(source) => Attempt::Unknown { seq, done, source },
    }
}

/// A COMMIT that did not happen.
pub(crate) const fn not_committed(source: sqlx::Error) -> StoreError {
    StoreError::Database {
        attempt: "commit a transaction",
        source,
    }
}

impl Writer {
    /// The mark of the next transaction.
    pub(crate) fn next_mark(&mut self) -> Mark {
        self.seq += 1;
        Mark {
            writer: self.id,
            seq: self.seq,
            at: self.clock.now(),
        }
    }

    /// Rolls back what is open. A connection that cannot is given up.
    pub(crate) async fn abandon(&mut self) {
        if let Some(connection) = &mut self.connection
            && let Err(error) = connection.roll_back().await
        {
            tracing::warn!(%error, "the writer's connection is given up");
            self.count_statements();
            self.connection = None;
        }
    }

    /// Whether the transaction of this number under this mark became durable. None when the database did not tell in time.
    pub(crate) async fn look(&mut self, (writer, seq): (Uuid, i64)) -> Option<bool> {
        self.counters.count_look();
        let found = timeout(PATIENCE, self.until_seen(writer)).await.ok();
        if found.is_none() {
            // The question may still be on its way.
            self.connection = None;
            self.is_away = true;
        }
        self.count_statements();
        found.map(|found| found == seq)
    }

    /// The number of the last transaction that became durable.
    async fn until_seen(&mut self, writer: Uuid) -> i64 {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.seen(writer).await {
                Ok(seen) => return seen,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot see yet whether the last transaction became durable"
                    );
                    self.connection = None;
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn seen(&mut self, writer: Uuid) -> Result<i64, StoreError> {
        let failed = |source| StoreError::Database {
            attempt: READ_MARK.does,
            source,
        };
        let values = [Value::from(writer), Value::from(self.clock.now().micros())];
        let connection = self.connected().await.map_err(failed)?;
        let rows = connection.fetch(&READ_MARK, &values).await.map_err(failed)?;
        rows.first().map_or(Ok(0), |row| row.only("writer_mark", "seq"))
    }

    /// Keeps for later what may be durable and was answered with an error.
    pub(super) fn leave(&mut self, (writer, seq): (Uuid, i64), commits: Vec<Commit>, applied: Applied) {
        tracing::error!(
            commits = commits.len(),
            "the database does not tell whether these became durable; nothing else is written before it does"
        );
        self.left = Some(Left {
            writer,
            seq,
            commits,
            applied,
        });
    }

    /// Finds out, by one look, what became of what was left; then it is told of if it is durable.
    pub(crate) async fn settle_left(&mut self) -> Result<(), StoreError> {
        let Some(left) = self.left.take() else {
            return Ok(());
        };
        let seen = self.seen(left.writer).await;
        self.count_statements();
        match seen {
            Ok(seen) => {
                let is_durable = seen == left.seq;
                tracing::warn!(is_durable, "found out what became of the last transaction");
                if is_durable {
                    self.tell(left.commits, left.applied);
                }
                Ok(())
            }
            Err(error) => {
                self.left = Some(left);
                self.connection = None;
                Err(error)
            }
        }
    }

    /// Whether to try again after this failure, after a pause. When the database has been away for so long that those who
    /// waited were refused, it is tried once for those who come next.
    pub(crate) async fn may_try_again(&mut self, source: &sqlx::Error, lost: &mut Option<Lost>) -> bool {
        if failure::kind(source) != Kind::Lost || (self.is_away && lost.is_none()) {
            return false;
        }
        self.counters.count_retry();
        let goes_on = lost.get_or_insert_default().pause().await;
        self.is_away |= !goes_on;
        goes_on
    }
}
