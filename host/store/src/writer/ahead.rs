//! Batches one after the other over two connections, on PostgreSQL: the rows of one are written while the one before it claims
//! what both share and becomes durable.
//!
//! ```text
//! one connection   │ rows of 1 │ epochs, room, events of 1, COMMIT │             │ rows of 3 │ …
//! the other        │           │ rows of 2                         │ epochs, … of 2, COMMIT  │
//! ```
//! What is shared is held by one transaction at a time, and one that writes rows holds nothing that the one before it still
//! wants, so that neither waits for the other in a circle, of which the database would not know. Epochs are looked at with the
//! turn: what was written before is nothing yet, and a takeover waits from there on. Whatever does not go through is rolled back
//! and done anew alone, where it is found out whose fault it is (`settle.rs`).

use std::{panic::resume_unwind, sync::atomic::Ordering, time::Duration};

use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;
use velum_model::Timestamp;

use super::{
    Batch, Failure, Waiting, Writer,
    apply::{Applied, Transaction},
    changes::is_apart,
    outcome::{Attempt, conclude},
    queue::Queue,
};
use crate::{
    commit::{Commit, StoreError},
    db::{Connection, Database, Mark},
};

/// A connection that was silent for longer is opened anew, which takes some milliseconds: on the way to the database somebody may have
/// forgotten it, which is found out after [`crate::db`]'s patience, and a renewal would wait so long.
const SILENT_FOR: Duration = Duration::from_secs(30);

/// A connection with a mark of its own.
pub(crate) struct Lane {
    /// Its row among the marks.
    id: Uuid,
    /// The number of its last transaction.
    seq: i64,
    /// None before its first batch, and after it broke.
    connection: Option<Connection>,
    /// When its last batch began, on the steady clock.
    used: Duration,
}

impl Lane {
    /// Not connected yet.
    pub(crate) const fn new(id: Uuid) -> Self {
        Self {
            id,
            seq: 0,
            connection: None,
            used: Duration::ZERO,
        }
    }

    /// The connection, opened again if it broke.
    async fn connected(&mut self, database: &Database) -> Result<&mut Connection, sqlx::Error> {
        if self.connection.is_none() {
            let connection = self.connection.insert(database.writer().await?);
            // What sets it up belongs to no batch.
            connection.statements = 0;
        }
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Ends the connection.
    pub(super) async fn close(self) {
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "could not close a connection of the writer");
        }
    }
}

/// Whether a commit may be written while the batch before it is being committed.
pub(super) fn may_go_ahead(commit: &Commit) -> bool {
    commit.changes.iter().all(is_apart)
}

/// A batch that is being written.
struct Begun {
    /// What it touches.
    keys: Vec<u64>,
    /// Given when the one before it is durable.
    turn: Option<oneshot::Sender<()>>,
    /// Comes when its rows are written; not at all when they could not be.
    written: oneshot::Receiver<()>,
    work: JoinHandle<(Lane, Ended)>,
}

impl Begun {
    fn go(&mut self) {
        let turn = self.turn.take();
        if turn.is_some_and(|turn| turn.send(()).is_err()) {
            tracing::debug!("a batch failed before its turn");
        }
    }
}

/// How it ended.
struct Ended {
    /// The id of its mark.
    writer: Uuid,
    /// Statements sent.
    statements: u64,
    waiting: Vec<Waiting>,
    attempt: Attempt<Applied, SetBack>,
}

/// Why nothing of a batch is there.
#[derive(Debug)]
enum SetBack {
    /// The one before it did not become durable, or an epoch is over.
    NoTurn,
    /// It did not go through.
    Failed(Failure),
}

impl From<Failure> for SetBack {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
impl From<StoreError> for SetBack {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// What writes a batch.
struct Work {
    lane: Lane,
    waiting: Vec<Waiting>,
    database: Database,
    holder: String,
    /// The time.
    at: Timestamp,
    /// The same on the steady clock.
    since: Duration,
}

impl Work {
    async fn run(mut self, written: oneshot::Sender<()>, turn: oneshot::Receiver<()>) -> (Lane, Ended) {
        let attempt = self.attempt(written, turn).await;
        let mut is_lost = false;
        if !matches!(attempt, Attempt::Durable(_))
            && let Some(connection) = &mut self.lane.connection
            && let Err(error) = connection.roll_back().await
        {
            tracing::warn!(%error, "a connection of the writer is given up");
            is_lost = true;
        }
        let connection = self.lane.connection.as_mut();
        let statements = connection.map_or(0, |connection| std::mem::take(&mut connection.statements));
        if is_lost {
            self.lane.connection = None;
        }
        let ended = Ended {
            writer: self.lane.id,
            statements,
            waiting: self.waiting,
            attempt,
        };
        (self.lane, ended)
    }

    /// One transaction; left open unless it is durable.
    async fn attempt(
        &mut self,
        written: oneshot::Sender<()>,
        turn: oneshot::Receiver<()>,
    ) -> Attempt<Applied, SetBack> {
        let failed = |source| {
            let attempt = "begin a transaction";
            Attempt::Failed(SetBack::Failed(Failure::Database { attempt, source }))
        };
        self.lane.seq += 1;
        let mark = Mark {
            writer: self.lane.id,
            seq: self.lane.seq,
            at: self.at,
        };
        let connection = match self.lane.connected(&self.database).await {
            Ok(connection) => connection,
            Err(source) => return failed(source),
        };
        if let Err(source) = connection.begin_marked(&mark).await {
            return failed(source);
        }
        let batch = Batch::of(&self.waiting);
        let transaction = Transaction::new(connection, &batch, false, mark.at, &self.holder).beside();
        let worked = in_turn(transaction, written, turn).await;
        let since = self.since;
        let worked = worked.map(|applied| Applied { since, ..applied });
        conclude(connection, mark.seq, worked).await
    }
}

/// The rows, and with the turn the rest.
async fn in_turn(
    mut transaction: Transaction<'_>,
    written: oneshot::Sender<()>,
    turn: oneshot::Receiver<()>,
) -> Result<Applied, SetBack> {
    transaction.write_rows().await?;
    if written.send(()).is_err() {
        return Err(SetBack::NoTurn);
    }
    if turn.await.is_err() || !transaction.epochs_hold().await? {
        return Err(SetBack::NoTurn);
    }
    Ok(transaction.write_shared().await?)
}

impl Writer {
    /// Whether a batch that is next may have another beside it. A commit that is alone is made at once, as on an idle server.
    pub(super) fn may_write_ahead(&self, batch: &[Waiting]) -> bool {
        let commits: usize = batch.iter().map(|waiting| waiting.commits.len()).sum();
        self.left.is_none()
            && !self.is_away
            && commits > 1
            && batch.iter().all(|waiting| waiting.may_go_ahead)
    }

    /// Writes a batch and, each beside the end of the one before it, what waits by then. Returns when nothing is under way.
    pub(super) async fn write_ahead(&mut self, (lane, first): (Lane, Vec<Waiting>), queue: &mut Queue) {
        let mut next = Some(self.launch(lane, first));
        while let Some(mut current) = next.take() {
            current.go();
            let is_written = (&mut current.written).await.is_ok();
            let mut following = match is_written {
                true => self.follow(&current, queue),
                false => None,
            };
            let ended = self.ended(current).await;
            if let Attempt::Durable(applied) = ended.attempt {
                if let Some(following) = &mut following {
                    following.go();
                    self.counters.ahead.fetch_add(1, Ordering::Relaxed);
                }
                self.publish(ended.waiting, applied);
                next = following;
                continue;
            }
            // What comes after it does not go on before it is known what became of it.
            if let Some(mut following) = following {
                following.turn = None;
                let set_back = self.ended(following).await;
                queue.give_back(set_back.waiting);
            }
            self.settle_alone(ended).await;
        }
    }

    /// Goes on with a batch that is not known to be durable, while no other is under way.
    async fn settle_alone(&mut self, ended: Ended) {
        match ended.attempt {
            Attempt::Unknown { seq, done, source } => {
                self.settle_unknown(ended.waiting, (ended.writer, seq), (done, source))
                    .await;
            }
            Attempt::Failed(why) => {
                if let SetBack::Failed(failure) = why {
                    tracing::debug!(?failure, "a batch is done anew, alone");
                }
                self.counters.count_retry();
                self.settle(ended.waiting).await;
            }
            Attempt::Durable(applied) => self.publish(ended.waiting, applied),
        }
    }

    /// Begins what waits by now beside a batch whose rows are written.
    fn follow(&mut self, current: &Begun, queue: &mut Queue) -> Option<Begun> {
        queue.gather();
        if queue.has_other() {
            return None;
        }
        let batch = queue.take_beside(&current.keys, |waiting| waiting.may_go_ahead);
        if batch.is_empty() {
            return None;
        }
        let Some(lane) = self.lanes.pop() else {
            queue.give_back(batch);
            return None;
        };
        Some(self.launch(lane, batch))
    }

    /// Begins a batch.
    fn launch(&self, mut lane: Lane, waiting: Vec<Waiting>) -> Begun {
        let since = self.epochs.now();
        if since.saturating_sub(lane.used) > SILENT_FOR {
            lane.connection = None;
        }
        lane.used = since;
        let keys = waiting.iter().flat_map(|waiting| &waiting.keys).copied();
        let keys = keys.collect();
        let work = Work {
            lane,
            waiting,
            database: self.database.clone(),
            holder: self.holder.clone(),
            at: self.clock.now(),
            since,
        };
        let ((tell, written), (give, turn)) = (oneshot::channel(), oneshot::channel());
        Begun {
            keys,
            turn: Some(give),
            written,
            work: tokio::spawn(work.run(tell, turn)),
        }
    }

    /// Waits for the end of a batch, after which its connection is free.
    async fn ended(&mut self, begun: Begun) -> Ended {
        let (lane, ended) = match begun.work.await {
            Ok(ended) => ended,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime ends, and this with it.
                Err(_) => std::future::pending().await,
            },
        };
        self.counters
            .statements
            .fetch_add(ended.statements, Ordering::Relaxed);
        self.lanes.push(lane);
        ended
    }
}
