//! The readers: a few connections that are used again and again.
//!
//! SQLite answers on a thread of the async runtime's that may wait, or at once on the thread that asks: sqlx would make a message of each
//! row and a copy of each value.
//!
//! sqlx's own pool asks a connection for a sign of life when it is taken and again when it is given back. A read of
//! ours is one short statement, so that made three ways to the connection's thread (or to the database's machine) of
//! one. Here nothing is asked: a read that fails on a connection that was used before is tried once more on a new one.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::SqlStr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Asking, Connection, Engine, Row, Simulation, Value, block_on, direct::Leash, open::Place, within,
};

/// See the module.
pub(super) struct Readers {
    place: Place,
    idle: Mutex<Vec<Connection>>,
    /// As many as connections may be open at a time; closed with the database.
    permits: Arc<Semaphore>,
    statements: Arc<AtomicU64>,
    /// Of long reads of SQLite: no more at a time than there are processors, the first come the first served. More at once would
    /// all end late. At least two, for one may recount every claim.
    turns: Arc<Semaphore>,
    asking: Asking,
    /// Short reads of SQLite are answered on the thread that asks.
    at_once: bool,
    simulation: Simulation,
}

impl Readers {
    /// At most `size` connections to `place`; none is opened yet.
    pub(super) fn new(place: Place, size: usize, asking: Asking, simulation: Simulation) -> Self {
        Self {
            place,
            asking,
            at_once: asking == Asking::Blocks,
            simulation,
            idle: Mutex::new(Vec::with_capacity(size)),
            permits: Arc::new(Semaphore::new(size)),
            turns: Arc::new(Semaphore::new(
                std::thread::available_parallelism().map_or(2, |n| n.get().max(2)),
            )),
            statements: Arc::default(),
        }
    }

    /// As many again to the same place, counted together. Nobody waits for a connection of the others, and nobody who must be
    /// answered soon shares the threads of those who ask: so they are kept while SQLite answers.
    pub(super) fn aside(&self, size: usize) -> Self {
        Self {
            statements: Arc::clone(&self.statements),
            at_once: true,
            ..Self::new(self.place.clone(), size, self.asking, self.simulation.clone())
        }
    }

    /// Opens them all.
    pub(super) async fn open(&self) -> Result<(), sqlx::Error> {
        let closed = |_| sqlx::Error::PoolClosed;
        let wanted = u32::try_from(self.permits.available_permits()).unwrap_or(1);
        let _permits = self.permits.acquire_many(wanted).await.map_err(closed)?;
        for _ in 0..wanted {
            let connection = self.place.reader(&self.simulation).await?;
            self.idle().push(connection);
        }
        Ok(())
    }

    /// Runs a text and answers its rows.
    pub(super) async fn one(&self, text: SqlStr, values: &[Value]) -> Result<Vec<Row>, sqlx::Error> {
        self.rows_of(text, values, (self.place.patience(), self.at_once))
            .await
    }

    /// The same of a text that finds its rows by their keys: on SQLite always on the thread that asks.
    pub(super) async fn short(&self, text: SqlStr, values: &[Value]) -> Result<Vec<Row>, sqlx::Error> {
        self.rows_of(text, values, (self.place.patience(), true)).await
    }

    /// The same, however long it takes: what counts whole tables.
    pub(super) async fn patiently(&self, text: SqlStr, values: &[Value]) -> Result<Vec<Row>, sqlx::Error> {
        self.rows_of(text, values, (None, self.asking == Asking::Blocks))
            .await
    }

    async fn rows_of(
        &self,
        text: SqlStr,
        values: &[Value],
        how: (Option<Duration>, bool),
    ) -> Result<Vec<Row>, sqlx::Error> {
        let mut rows = self
            .asking
            .answer(self.run(Reads::One(text), values, how))
            .await?;
        Ok(rows.pop().unwrap_or_default())
    }

    /// Runs texts as of one instant and answers the rows of each.
    pub(super) async fn together(
        &self,
        texts: Vec<SqlStr>,
        values: &[Value],
    ) -> Result<Vec<Vec<Row>>, sqlx::Error> {
        let patience = self.place.patience();
        self.asking
            .answer(self.run(Reads::Together(texts), values, (patience, self.at_once)))
            .await
    }

    /// Statements sent so far.
    pub(super) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Closes what is idle and lets nobody read any more.
    pub(super) async fn close(&self) {
        self.permits.close();
        self.turns.close();
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "a reader's connection did not close properly");
            }
        }
    }

    async fn run(
        &self,
        reads: Reads,
        values: &[Value],
        (patience, at_once): (Option<Duration>, bool),
    ) -> Result<Vec<Vec<Row>>, sqlx::Error> {
        let is_long = !at_once && matches!(self.place, Place::Sqlite(_));
        let mut turn = match is_long {
            true => {
                let turn = Arc::clone(&self.turns).acquire_owned().await;
                Some(turn.map_err(|_| sqlx::Error::PoolClosed)?)
            }
            false => None,
        };
        let mut permit = self.permit(patience).await?;
        if let Some(connection) = self.used() {
            let held = Held {
                connection,
                turn: turn.take(),
                _permit: permit,
            };
            match within(patience, self.run_on(held, reads.clone(), values, at_once)).await {
                Ok(rows) => return Ok(rows),
                // What broke this one (a restart of the database) broke the others too.
                Err(error) => {
                    tracing::debug!(%error, "a read failed: trying once more on a new connection");
                    self.idle().clear();
                }
            }
            permit = self.permit(patience).await?;
        }
        let connection = self.place.reader(&self.simulation).await?;
        let held = Held {
            connection,
            turn,
            _permit: permit,
        };
        within(patience, self.run_on(held, reads, values, at_once)).await
    }

    /// The right to a connection. One that does not come free is one on which nothing is answered.
    async fn permit(&self, patience: Option<Duration>) -> Result<OwnedSemaphorePermit, sqlx::Error> {
        let free = Arc::clone(&self.permits).acquire_owned();
        within(patience, async {
            free.await.map_err(|_| sqlx::Error::PoolClosed)
        })
        .await
    }

    /// One that was used before.
    fn used(&self) -> Option<Connection> {
        self.idle().pop()
    }

    /// The connection is kept only if all went well: one that failed, or whose caller went away, is dropped.
    async fn run_on(
        &self,
        held: Held,
        reads: Reads,
        values: &[Value],
        at_once: bool,
    ) -> Result<Vec<Vec<Row>>, sqlx::Error> {
        let values = values.to_vec();
        let (held, rows) = if at_once || held.connection.engine() == Engine::Postgres {
            held.read(reads, values).await?
        } else {
            let leash = held.connection.leash();
            let waiting = tokio::task::spawn_blocking(move || block_on(held.read(reads, values)));
            let answered = waiting.await.map_err(|_| sqlx::Error::WorkerCrashed)?;
            leash.into_iter().for_each(Leash::let_go);
            answered?
        };
        self.statements
            .fetch_add(held.connection.statements, Ordering::Relaxed);
        self.idle().push(held.connection);
        Ok(rows)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is in use, with the right to one.
struct Held {
    connection: Connection,
    /// Ends with the read, on the thread that reads: who asked may be long in hearing of it.
    turn: Option<OwnedSemaphorePermit>,
    _permit: OwnedSemaphorePermit,
}

impl Held {
    async fn read(mut self, reads: Reads, values: Vec<Value>) -> Result<(Self, Vec<Vec<Row>>), sqlx::Error> {
        let connection = &mut self.connection;
        connection.statements = 0;
        let rows = match reads {
            Reads::One(text) => vec![connection.fetch_text(text, values).await?],
            Reads::Together(texts) => {
                connection.begin_reading().await?;
                let mut answers = Vec::with_capacity(texts.len());
                for text in texts {
                    answers.push(connection.fetch_text(text, values.clone()).await?);
                }
                connection.commit().await?;
                answers
            }
        };
        self.turn = None;
        Ok((self, rows))
    }
}

#[derive(Clone)]
enum Reads {
    One(SqlStr),
    Together(Vec<SqlStr>),
}
