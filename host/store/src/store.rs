//! The store: opening, committing, leases.

use std::sync::{Arc, atomic::Ordering};

use serde_json::json;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot, watch,
};
use uuid::Uuid;
use velum_model::{chance::Ids, id::*, operation::Event, tenancy::Scope, time::Clock};

use crate::{
    commit::{Commit, Committed, Refused, StoreError, StoredAnswer},
    db::{Database, Value},
    encode::hex,
    lease::LOOK,
    migrate::migrate,
    reader::Reader,
    sql::guard::KNOWN_KEYS,
    writer::{Counters, Message, NewToken, QUEUE, Waiting, Writer, parking::Epochs, read_answer},
};

/// What a store is opened with.
#[derive(Clone)]
pub struct StoreOptions {
    /// `sqlite:/path/velum.db` or `postgres://…`.
    pub url: String,
    /// Name of this server in lease rows. A server that comes back under its own name need not wait for its lease.
    pub holder: String,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New identifiers.
    pub ids: Arc<dyn Ids>,
    /// Told of every commit.
    pub observer: Arc<dyn Observer>,
    /// How long a lease lasts without [`Store::renew`], milliseconds.
    pub lease_ms: u64,
}

/// Keeps what is in memory current.
pub trait Observer: Send + Sync {
    /// Called on the writer, in commit order, after durability and before the waiters are answered. Must not block:
    /// the next batch waits for it.
    fn committed(&self, batch: &CommittedBatch);
}

/// One durable transaction.
#[derive(Clone, Debug, Default)]
pub struct CommittedBatch {
    /// The commits as they took effect, in order: an `InsertLayer` that lost to an earlier layer of the same pool and
    /// template is left out.
    pub commits: Vec<Commit>,
    /// Their events, numbered.
    pub events: Vec<Event>,
    /// Room of the compute hosts whose claims changed, as it is now.
    pub compute_hosts: Vec<HostRoom>,
    /// Room of the storage pools whose claims changed, as it is now.
    pub storage_pools: Vec<PoolRoom>,
}

/// Promised and promisable of a compute host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRoom {
    /// Which.
    pub id: ComputeHostId,
    /// vCPUs promised.
    pub vcpus_used: u64,
    /// vCPUs that may be promised.
    pub vcpus_ceiling: u64,
    /// MiB promised.
    pub memory_used: u64,
    /// MiB that may be promised.
    pub memory_ceiling: u64,
}

/// Promised and promisable of a storage pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolRoom {
    /// Which.
    pub id: StoragePoolId,
    /// Bytes promised.
    pub bytes_used: u64,
    /// Bytes that may be promised.
    pub bytes_ceiling: u64,
}

/// A difference that [`Store::audit`] found: an alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrepancy {
    /// In which table.
    pub table: &'static str,
    /// Which row.
    pub id: Uuid,
    /// What is wrong, in words, with both figures.
    pub problem: String,
}

/// The database behind one face. Clones share the writer and the readers.
#[derive(Clone)]
pub struct Store {
    reader: Reader,
    writer: mpsc::Sender<Message>,
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    holder: String,
}

/// What the writer and the readers counted since they began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// SQL statements sent, those that begin and end a transaction too.
    pub statements: u64,
    /// Transactions that became durable.
    pub transactions: u64,
    /// Commits in them.
    pub commits: u64,
    /// SQL statements that the readers were sent.
    pub statements_read: u64,
}

fn closed() -> StoreError {
    StoreError::Unusable("the store is closed".into())
}

impl Store {
    /// Opens the database, migrates and checks it, starts the writer. Owns no shard yet: see [`Store::take_over`].
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when the database is newer than this version, or its engine too old;
    /// [`StoreError::Database`] when it does not answer.
    pub async fn open(options: StoreOptions) -> Result<Self, StoreError> {
        let database = Database::at(&options.url)?;
        let mut connection = database.writer().await.map_err(|source| StoreError::Database {
            attempt: "open the database",
            source,
        })?;
        migrate(&mut connection, database.engine()).await?;
        database.open_readers().await?;
        connection.statements = 0;
        let (epochs, counters) = (Epochs::default(), Arc::new(Counters::default()));
        let (wrote, watched) = watch::channel(0);
        let (sender, messages) = mpsc::channel(QUEUE);
        let writer = Writer {
            database: database.clone(),
            connection: Some(connection),
            clock: Arc::clone(&options.clock),
            observer: options.observer,
            holder: options.holder.clone(),
            lease_ms: options.lease_ms,
            epochs: epochs.clone(),
            counters: Arc::clone(&counters),
            wrote,
        };
        tokio::spawn(crate::checkpoint::run(database.clone(), watched));
        tokio::spawn(writer.run(messages));
        Ok(Self {
            reader: Reader { database, epochs },
            writer: sender,
            counters,
            clock: options.clock,
            holder: options.holder,
        })
    }

    /// Commits, and answers when it is durable. Nothing of a refused commit is there.
    ///
    /// # Errors
    /// [`StoreError::Refused`] says why; [`StoreError::Busy`] when too much waits; else the database failed, and
    /// whether it is there must be looked up.
    pub async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let (answer, wait) = oneshot::channel();
        match self.writer.try_send(Message::Commit(Waiting { commit, answer })) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(StoreError::Busy { waiting: QUEUE }),
            Err(TrySendError::Closed(_)) => return Err(closed()),
        }
        wait.await.map_err(|_| closed())?
    }

    /// Becomes the owner of every shard: each epoch grows by one, so that what an earlier owner still commits is
    /// refused. With `wait_for_lease` it first waits until the leases of other holders have run out; without, it takes
    /// them at once.
    ///
    /// # Errors
    /// The database failed.
    pub async fn take_over(&self, wait_for_lease: bool) -> Result<Vec<(ShardId, u64)>, StoreError> {
        if wait_for_lease {
            self.wait_for_leases().await?;
        }
        self.ask(Message::TakeOver).await?
    }

    async fn wait_for_leases(&self) -> Result<(), StoreError> {
        loop {
            let until = Writer::leased_until(&self.reader.database, &self.holder).await?;
            if self.clock.now().micros() >= until {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Keeps the leases of the shards that this server owns.
    ///
    /// # Errors
    /// `Refused::Fenced` when another has taken one; the database failed.
    pub async fn renew(&self) -> Result<(), StoreError> {
        self.ask(Message::Renew).await?
    }

    /// The epoch under which this server owns a shard.
    #[must_use]
    pub fn epoch(&self, shard: ShardId) -> Option<u64> {
        self.reader.epochs.get(shard)
    }

    /// The reading side.
    #[must_use]
    pub fn read(&self) -> Reader {
        self.reader.clone()
    }

    /// What was answered under an idempotency key in the last 24 hours.
    ///
    /// # Errors
    /// `Refused::KeyReused` when it was another request; the database failed.
    pub async fn idempotent(
        &self,
        token: TokenId,
        key: &str,
        request_hash: &[u8],
    ) -> Result<Option<StoredAnswer>, StoreError> {
        let rows = json!([{ "token": hex(token), "key": key }]).to_string();
        let values = [Value::from(rows), Value::from(self.clock.now().micros())];
        let rows = self.reader.database.fetch(&KNOWN_KEYS, &values).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut columns = row.columns("idempotency");
        columns.take::<TokenId>("token")?;
        columns.take::<String>("key")?;
        if columns.take::<Vec<u8>>("request_hash")? != request_hash {
            return Err(Refused::KeyReused.into());
        }
        read_answer(&mut columns).map(Some)
    }

    /// The same store with readers of its own: for work beside the requests, hundreds of operations at a time, so that a
    /// request does not wait for a reader behind all of them.
    #[must_use]
    pub fn aside(&self) -> Self {
        Self {
            reader: Reader {
                database: self.reader.database.aside(),
                epochs: self.reader.epochs.clone(),
            },
            ..self.clone()
        }
    }

    /// Stores a token by its hash.
    ///
    /// # Errors
    /// `Refused::NameTaken` when the id, the name or the hash is there already; the database failed.
    pub async fn insert_token(
        &self,
        token: TokenId,
        name: &str,
        hash: &[u8],
        scope: Scope,
    ) -> Result<(), StoreError> {
        let token = NewToken {
            id: token.uuid(),
            name: name.to_owned(),
            hash: hash.to_vec(),
            scope,
        };
        self.ask(|answer| Message::Token(token, answer)).await?
    }

    /// Recounts every sum from its claim rows and looks for rows without the row that they live by. Empty is well.
    ///
    /// # Errors
    /// The database failed.
    pub async fn audit(&self) -> Result<Vec<Discrepancy>, StoreError> {
        crate::audit::audit(&self.reader.database).await
    }

    /// What the writer and the readers counted since they began.
    #[must_use]
    pub fn counts(&self) -> StoreCounts {
        StoreCounts {
            statements: self.counters.statements.load(Ordering::Relaxed),
            transactions: self.counters.transactions.load(Ordering::Relaxed),
            commits: self.counters.commits.load(Ordering::Relaxed),
            statements_read: self.reader.database.statements_read(),
        }
    }

    /// How many commits wait to be taken up.
    #[must_use]
    pub fn waiting(&self) -> usize {
        QUEUE.saturating_sub(self.writer.capacity())
    }

    /// Ends the writer after what waits already, and closes every connection.
    pub async fn close(&self) {
        // A writer that is gone already has closed its own.
        if self.ask(Message::Close).await.is_ok() {
            self.writer.closed().await;
        }
        self.reader.database.close().await;
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, StoreError> {
        let (answer, wait) = oneshot::channel();
        self.writer.send(message(answer)).await.map_err(|_| closed())?;
        wait.await.map_err(|_| closed())
    }
}
