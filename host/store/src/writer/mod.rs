//! The one writer: it owns the write connection, takes what waits, commits it as one transaction and answers. On PostgreSQL it is
//! a task, on SQLite a thread.

mod affinity;
pub(crate) mod ahead;
mod apply;
mod changes;
mod diagnose;
mod failure;
mod guard;
mod keys;
pub(crate) mod outcome;
mod plugins;
mod queue;
mod records;
mod resources;
mod room;
mod rows;
mod settle;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use uuid::Uuid;
use velum_model::{ShardId, tenancy::Scope, time::Clock};

pub(crate) use failure::{Failure, trouble};
pub(crate) use guard::{CLOUD, read_answer};

use queue::Queue;

use crate::{
    commit::{Commit, Committed, StoreError},
    db::{Connection, Database},
    encode::text,
    epochs::Epochs,
    told::Observer,
};

/// Commits that may wait: at the slowest drain measured (one by one, some 1,000 a second) the last waits four seconds,
/// which is as long as a caller should be kept before a 503.
pub(crate) const QUEUE: usize = 4096;
/// Commits in one transaction: beyond it the time per commit no longer falls, but the wait of the first grows.
pub(crate) const BATCH: usize = 256;
/// Bytes of user data in one transaction: keeps the rows of a batch and their copies under 16 MiB. One request of many that has more (the
/// API takes 8 MiB) is a transaction of its own.
const BATCH_BYTES: usize = 2 << 20;

/// What the writer is asked.
pub(crate) enum Message {
    /// A commit.
    Commit(Waiting),
    /// To own every shard.
    TakeOver(oneshot::Sender<Result<Vec<(ShardId, u64)>, StoreError>>),
    /// To keep what it owns.
    Renew(oneshot::Sender<Result<(), StoreError>>),
    /// To give some of it away.
    Release(Vec<(ShardId, u64)>, oneshot::Sender<Result<(), StoreError>>),
    /// To keep a component, or to forget one.
    Blob(BlobWrite, oneshot::Sender<Result<(), StoreError>>),
    /// To forget decisions between two ids, the first left out.
    Decisions((Uuid, Uuid), oneshot::Sender<Result<(), StoreError>>),
    /// To store a token.
    Token(NewToken, oneshot::Sender<Result<(), StoreError>>),
    /// To end.
    Close(oneshot::Sender<()>),
}

/// What becomes true together, and who waits for it. What is worked out of it for the writer is worked out by whoever asks:
/// the writer is one, those are many.
pub(crate) struct Waiting {
    /// One commit, or several of which all are made or none. Only the first may have an idempotency key.
    commits: Vec<Commit>,
    /// The decision of each as it is stored.
    decisions: Vec<Option<String>>,
    /// What it touches.
    keys: Vec<u64>,
    /// Bytes of user data.
    weight: usize,
    /// Whether it may be written while the batch before it is being committed.
    may_go_ahead: bool,
    answer: oneshot::Sender<Result<Committed, StoreError>>,
    /// Its room among those that wait.
    _room: OwnedSemaphorePermit,
}

impl Waiting {
    /// Of commits that are made together.
    pub(crate) fn new(
        commits: Vec<Commit>,
        answer: oneshot::Sender<Result<Committed, StoreError>>,
        room: OwnedSemaphorePermit,
    ) -> Self {
        let decision = |commit: &Commit| commit.decision.as_deref().map(text);
        Self {
            decisions: commits.iter().map(decision).collect(),
            keys: commits.iter().flat_map(keys::of).collect(),
            weight: commits.iter().map(keys::weight).sum(),
            may_go_ahead: commits.iter().all(ahead::may_go_ahead),
            commits,
            answer,
            _room: room,
        }
    }
}

/// The commits of all who wait, one after another.
struct Batch<'w> {
    commits: Vec<&'w Commit>,
    /// The decision of each as it is stored.
    decisions: Vec<Option<&'w str>>,
    /// The place of whose each is: those with the same number are made together or not at all.
    units: Vec<usize>,
}

impl<'w> Batch<'w> {
    fn of(all: &'w [Waiting]) -> Self {
        let units = all.iter().enumerate();
        let units = units.flat_map(|(place, waiting)| std::iter::repeat_n(place, waiting.commits.len()));
        let decisions = all.iter().flat_map(|waiting| &waiting.decisions);
        Self {
            commits: all.iter().flat_map(|waiting| &waiting.commits).collect(),
            decisions: decisions.map(Option::as_deref).collect(),
            units: units.collect(),
        }
    }
}

/// What becomes of a component.
pub(crate) enum BlobWrite {
    /// It is kept.
    Keep {
        digest: String,
        component: Vec<u8>,
        manifest: Option<String>,
    },
    /// It is forgotten, unless a plugin's row has it.
    Forget(String),
}

/// A token to be stored.
pub(crate) struct NewToken {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) hash: Vec<u8>,
    pub(crate) scope: Scope,
}

/// What the writer counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Statements sent.
    pub(crate) statements: AtomicU64,
    /// Transactions that became durable with at least one commit.
    pub(crate) transactions: AtomicU64,
    /// Commits that became durable.
    pub(crate) commits: AtomicU64,
    /// Transactions whose rows were written while the one before them was being committed.
    pub(crate) ahead: AtomicU64,
    /// Transactions begun again, because another writer was faster or the connection was lost, or alone.
    pub(crate) retries: AtomicU64,
    /// COMMITs without an answer, after which was looked whether they had happened.
    pub(crate) looks: AtomicU64,
    /// Commits that were refused because their epoch was not the shard's any more.
    pub(crate) fenced: AtomicU64,
}

impl Counters {
    fn count_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    fn count_look(&self) {
        self.looks.fetch_add(1, Ordering::Relaxed);
    }
}

/// The task.
pub(crate) struct Writer {
    /// Its row among the marks.
    pub(crate) id: Uuid,
    /// The number of its last transaction.
    pub(crate) seq: i64,
    /// What may be durable and was answered with an error.
    pub(crate) left: Option<outcome::Left>,
    /// The database did not come back in time: until it does, nobody is kept waiting for it.
    pub(crate) is_away: bool,
    pub(crate) database: Database,
    /// None after it broke: opened again for the next batch.
    pub(crate) connection: Option<Connection>,
    /// Those over which batches are written one beside the end of the other; none on SQLite.
    pub(crate) lanes: Vec<ahead::Lane>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) holder: String,
    pub(crate) lease_ms: u64,
    pub(crate) epochs: Epochs,
    pub(crate) counters: Arc<Counters>,
    /// Told of every transaction, for checkpoints.
    pub(crate) wrote: watch::Sender<u64>,
}

impl Writer {
    /// Begins to work off what comes: as a task, or on a thread of its own, which it keeps while the database answers. It ends with
    /// the store.
    pub(crate) fn begin(
        self,
        messages: (mpsc::Receiver<Message>, mpsc::Receiver<Message>),
        keeps_its_thread: bool,
    ) -> Result<(), StoreError> {
        let work = self.run(Queue::new(messages));
        if !keeps_its_thread {
            drop(tokio::spawn(work));
            return Ok(());
        }
        let runtime = tokio::runtime::Handle::current();
        let thread = std::thread::Builder::new().name("velum-writer".into());
        let begun = thread.spawn(move || runtime.block_on(work));
        begun.map(drop).map_err(|error| {
            StoreError::Unusable(format!(
                "could not begin a thread for the writer of the database: {error}"
            ))
        })
    }

    /// Runs until it is told to end or nobody can ask any more. What is urgent (a renewal) waits for what is under way and not
    /// for the queue.
    async fn run(mut self, mut queue: Queue) {
        loop {
            while let Some(message) = queue.urgent() {
                self.other(message).await;
            }
            if !queue.wait().await {
                break;
            }
            queue.gather();
            if let Some(message) = queue.other() {
                if self.other(message).await {
                    break;
                }
            } else {
                self.write_some(&mut queue).await;
            }
        }
        if self.left.is_some() {
            tracing::error!("the store ends without knowing what became of its last transaction");
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "could not close the writer's connection");
        }
        for lane in self.lanes {
            lane.close().await;
        }
    }

    /// Writes the next batch, and what may be written beside its end.
    async fn write_some(&mut self, queue: &mut Queue) {
        let batch = queue.take();
        if self.may_write_ahead(&batch)
            && let Some(lane) = self.lanes.pop()
        {
            self.write_ahead((lane, batch), queue).await;
        } else {
            self.settle(batch).await;
        }
    }

    /// Answers whether the writer is to end.
    async fn other(&mut self, message: Message) -> bool {
        // Whoever asked may have gone: then nobody hears the answer.
        match message {
            Message::Commit(waiting) => self.settle(vec![waiting]).await,
            Message::TakeOver(answer) => drop(answer.send(self.take_over().await)),
            Message::Renew(answer) => drop(answer.send(self.renew().await)),
            Message::Release(shards, answer) => drop(answer.send(self.release(&shards).await)),
            Message::Blob(blob, answer) => drop(answer.send(self.write_blob(blob).await)),
            Message::Decisions(ids, answer) => drop(answer.send(self.forget_decisions(ids).await)),
            Message::Token(token, answer) => drop(answer.send(self.insert_token(token).await)),
            Message::Close(answer) => {
                // `closed` on the queue is what the asker waits for; this only says that it was heard.
                if answer.send(()).is_err() {
                    tracing::debug!("nobody waits for the store to close");
                }
                return true;
            }
        }
        false
    }

    /// The connection, opened again if it broke.
    pub(crate) async fn connected(&mut self) -> Result<&mut Connection, sqlx::Error> {
        if self.connection.is_none() {
            self.connection = Some(self.database.writer().await?);
            self.is_away = false;
        }
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Adds what the connection was sent since to the counters.
    pub(crate) fn count_statements(&mut self) {
        if let Some(connection) = &mut self.connection {
            let sent = std::mem::take(&mut connection.statements);
            self.counters.statements.fetch_add(sent, Ordering::Relaxed);
        }
    }
}

/// Whether an error means that another writer was faster.
pub(crate) fn was_overtaken(error: &sqlx::Error) -> bool {
    failure::kind(error) == failure::Kind::Again
}
