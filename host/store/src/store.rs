//! The store: opening, committing, leases.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::json;
use tokio::sync::{
    Semaphore,
    mpsc::{self, error::TrySendError},
    oneshot, watch,
};
use uuid::Uuid;
use velum_model::{Timestamp, chance::Ids, id::*, plugin::Digest, tenancy::Scope, time::Clock};

use crate::{
    commit::{Commit, Committed, Refused, StoreError, StoredAnswer},
    counts::StoreCounts,
    db::{Asking, Database, Engine, Simulated, Simulation, Value, failed},
    encode::{first_id_of, hex},
    epochs::Epochs,
    keeper::Owners,
    lease::LOOK,
    migrate::migrate,
    reader::Reader,
    sql::guard::KNOWN_KEYS,
    sql::rest::{BLOB, EXPIRED_DECISIONS, HAS_BLOB, SHARDS_HELD},
    told::Observer,
    writer::{
        BATCH, BlobWrite, Counters, Message, NewToken, QUEUE, Waiting, Writer, ahead::Lane, read_answer,
    },
};

/// What a store is opened with.
#[derive(Clone)]
pub struct StoreOptions {
    /// `sqlite:/path/velum.db` or `postgres://…`.
    pub url: String,
    /// Name of this server in lease rows. A server that comes back under its own name need not wait for its lease: no
    /// other process may have it.
    pub holder: String,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New identifiers.
    pub ids: Arc<dyn Ids>,
    /// Told of every commit.
    pub observer: Arc<dyn Observer>,
    /// How long another holder's shards must have stood still before [`Store::take_over`] takes them, milliseconds.
    pub lease_ms: u64,
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
    /// For commits that wait for their answers.
    room: Arc<Semaphore>,
    urgent: mpsc::Sender<Message>,
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    holder: String,
    asking: Asking,
    lease: Duration,
    owners: Owners,
    /// Closed when the task of the checkpoints has ended.
    checkpoints: watch::Receiver<()>,
}

/// Where the database of a URL is, for messages: without the password.
///
/// # Errors
/// [`StoreError::Unusable`] when the URL does not read.
pub fn shown(url: &str) -> Result<String, StoreError> {
    Ok(Database::at(url)?.shown())
}

/// Commits that can be made together: a batch.
pub const TOGETHER: usize = BATCH;

/// Urgent orders that may wait: a renewal and a release, and some operations that ask whether a shard is still theirs.
const URGENT: usize = 64;

fn closed() -> StoreError {
    StoreError::Unusable("the store is closed".into())
}

impl Store {
    /// Opens the database, migrates and checks it, starts the writer. Owns no shard yet: see [`Store::take_over`].
    ///
    /// # Errors
    /// [`StoreError::Unusable`] says what is wrong and what to do: the database is newer than this version, damaged,
    /// somebody else's or cannot be written, or its engine is too old. [`StoreError::Database`] when it does not answer.
    pub async fn open(options: StoreOptions) -> Result<Self, StoreError> {
        Self::with(options, Asking::Waits, Simulation::default()).await
    }

    /// Opens it so that each call keeps its thread until it is answered: one call at a time, in the order in which they
    /// were made, and no time passes meanwhile on a runtime whose clock stands. For simulations; the store's own tasks
    /// must then be on another runtime, the one that this is called on. `simulated` is the file that the options name, and
    /// what goes wrong with it.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_for_simulation(
        options: StoreOptions,
        simulated: Simulated,
    ) -> Result<Self, StoreError> {
        Self::with(options, Asking::Blocks, simulated.into()).await
    }

    async fn with(options: StoreOptions, asking: Asking, simulation: Simulation) -> Result<Self, StoreError> {
        let database = Database::asked(&options.url, asking, simulation)?;
        let mut first = database.opened().await?;
        migrate(&mut first).await?;
        let opens = |source| failed("open the database", source);
        let mut connection = database.writer().await.map_err(opens)?;
        database.open_readers().await?;
        // Not before the others are open: the last to leave SQLite copies the whole log.
        first.close().await.map_err(opens)?;
        connection.statements = 0;
        let epochs = Epochs::new(Arc::clone(&options.clock));
        let counters = Arc::new(Counters::default());
        let (wrote, watched) = watch::channel(0);
        let (sender, messages) = mpsc::channel(QUEUE);
        let (urgent, orders) = mpsc::channel(URGENT);
        let lanes = match database.engine() {
            Engine::Sqlite => Vec::new(),
            Engine::Postgres => vec![Lane::new(options.ids.uuid()), Lane::new(options.ids.uuid())],
        };
        let writer = Writer {
            id: options.ids.uuid(),
            seq: 0,
            left: None,
            is_away: false,
            database: database.clone(),
            connection: Some(connection),
            lanes,
            clock: Arc::clone(&options.clock),
            observer: options.observer,
            holder: options.holder.clone(),
            lease_ms: options.lease_ms,
            epochs: epochs.clone(),
            counters: Arc::clone(&counters),
            wrote,
        };
        let (ends, checkpoints) = watch::channel(());
        tokio::spawn(crate::checkpoint::run(database.clone(), watched, ends));
        let keeps_its_thread = database.engine() == Engine::Sqlite && asking == Asking::Waits;
        writer.begin((messages, orders), keeps_its_thread)?;
        Ok(Self {
            reader: Reader { database, epochs },
            writer: sender,
            room: Arc::new(Semaphore::new(QUEUE)),
            urgent,
            counters,
            clock: options.clock,
            holder: options.holder,
            asking,
            lease: Duration::from_millis(options.lease_ms),
            owners: Owners::default(),
            checkpoints,
        })
    }

    /// Commits, and answers when it is durable. Nothing of a refused commit is there.
    ///
    /// # Errors
    /// [`StoreError::Refused`] says why; [`StoreError::Busy`] when too much waits; else the database failed. Then nothing
    /// of it is there, unless the database did not tell in time: an idempotency key answers whether it is.
    pub async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.commit_together(vec![commit]).await
    }

    /// Commits several, of which all are made or none; at most [`TOGETHER`], and only the first may have an idempotency key.
    /// One answer for all: when one of them is refused, that one's refusal.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn commit_together(&self, commits: Vec<Commit>) -> Result<Committed, StoreError> {
        let is_one_batch = (1..=TOGETHER).contains(&commits.len());
        let count = u32::try_from(commits.len()).ok().filter(|_| is_one_batch);
        let count = count.ok_or_else(|| {
            let problem = format!("{} commits are not 1 to {TOGETHER}", commits.len());
            StoreError::Unusable(problem)
        })?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(count);
        let room = room.map_err(|_| StoreError::Busy { waiting: QUEUE })?;
        let (answer, wait) = oneshot::channel();
        let waiting = Waiting::new(commits, answer, room);
        match self.writer.try_send(Message::Commit(waiting)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(StoreError::Busy { waiting: QUEUE }),
            Err(TrySendError::Closed(_)) => return Err(closed()),
        }
        self.asking.answer(wait).await.map_err(|_| closed())?
    }

    /// Becomes the owner of every shard: each epoch grows by one, so that what an earlier owner still commits is
    /// refused. With `wait_for_lease` it first waits until the rows of other holders have stood still for a lease, as
    /// seen by this server's own steady clock; without, it takes them at once. For a database that one server has for
    /// itself; among several, see [`Store::join`].
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
        let mut seen: HashMap<ShardId, ((u64, u64), Duration)> = HashMap::new();
        loop {
            let rows = self.reader.database.fetch(&SHARDS_HELD, &[]).await?;
            let now = self.clock.steady();
            let mut is_moving = false;
            for row in rows {
                let mut columns = row.columns("shard");
                let (id, epoch): (ShardId, u64) = (columns.take("id")?, columns.take("epoch")?);
                let holder: String = columns.take("holder")?;
                let row = (epoch, columns.take("renewals")?);
                if holder.is_empty() || holder == self.holder {
                    continue;
                }
                let known = seen.entry(id).or_insert((row, now));
                if known.0 != row {
                    *known = (row, now);
                }
                is_moving |= now.saturating_sub(known.1) < self.lease;
            }
            if !is_moving {
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
        self.order(Message::Renew).await?
    }

    /// Gives shards to whoever wants them; their epochs are not used any more from now on.
    pub(crate) async fn release(&self, shards: Vec<(ShardId, u64)>) -> Result<(), StoreError> {
        for (shard, _) in &shards {
            self.reader.epochs.drop_shard(*shard);
        }
        self.order(|answer| Message::Release(shards, answer)).await?
    }

    /// Whether this server still owns a shard under this epoch, asked of the database; as far as it is known when that
    /// does not answer.
    pub async fn still_owns(&self, shard: ShardId, epoch: u64) -> bool {
        if let Err(error) = self.renew().await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "asked whether a shard is owned"
            );
        }
        self.epoch(shard) == Some(epoch)
    }

    /// Whether other servers may work on the same database: then nothing that is kept in memory is known to this one
    /// alone.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.reader.epochs.are_shared()
    }

    /// Whether the database is one that several servers can work on.
    #[must_use]
    pub fn can_be_shared(&self) -> bool {
        self.reader.database.engine() == Engine::Postgres
    }

    pub(crate) fn holder(&self) -> &str {
        &self.holder
    }

    pub(crate) fn owners(&self) -> Owners {
        Arc::clone(&self.owners)
    }

    /// Keeps a component and its manifest in the database, where every server finds it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn keep_component(
        &self,
        digest: &Digest,
        component: Vec<u8>,
        manifest: Option<String>,
    ) -> Result<(), StoreError> {
        let keep = BlobWrite::Keep {
            digest: digest.as_str().to_owned(),
            component,
            manifest,
        };
        self.ask(|answer| Message::Blob(keep, answer)).await?
    }

    /// Forgets a component, unless an installed plugin has it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn forget_component(&self, digest: &Digest) -> Result<(), StoreError> {
        let forget = BlobWrite::Forget(digest.as_str().to_owned());
        self.ask(|answer| Message::Blob(forget, answer)).await?
    }

    /// A component and its manifest, if they were kept.
    ///
    /// # Errors
    /// The database failed.
    pub async fn component(&self, digest: &Digest) -> Result<Option<(Vec<u8>, Option<String>)>, StoreError> {
        let values = [Value::from(digest.as_str())];
        let rows = self.reader.database.fetch_patiently(&BLOB, &values).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut columns = row.columns("plugin_blob");
        Ok(Some((columns.take("component")?, columns.take("manifest")?)))
    }

    /// Whether a component was kept.
    ///
    /// # Errors
    /// The database failed.
    pub async fn has_component(&self, digest: &Digest) -> Result<bool, StoreError> {
        let values = [Value::from(digest.as_str())];
        let rows = self.reader.database.fetch(&HAS_BLOB, &values).await?;
        Ok(!rows.is_empty())
    }

    /// Forgets some of the decisions that were made before a moment, from `after` on: all but those that an instance was last
    /// placed by. Answers from where to go on; none when that was all.
    ///
    /// # Errors
    /// The database failed.
    pub async fn forget_decisions(
        &self,
        before: Timestamp,
        after: Option<DecisionId>,
    ) -> Result<Option<DecisionId>, StoreError> {
        let after = after.map_or(Uuid::nil(), Id::uuid);
        let bounds = [Value::from(after), Value::from(first_id_of(before))];
        let rows = self.reader.database.fetch(&EXPIRED_DECISIONS, &bounds).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let last: Uuid = row.only("decision", "id")?;
        self.ask(|answer| Message::Decisions((after, last), answer))
            .await??;
        Ok(Some(Id::from_uuid(last)))
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
        let rows = self.reader.database.fetch_short(&KNOWN_KEYS, &values).await?;
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
            ahead: self.counters.ahead.load(Ordering::Relaxed),
            retries: self.counters.retries.load(Ordering::Relaxed),
            looks: self.counters.looks.load(Ordering::Relaxed),
            fenced: self.counters.fenced.load(Ordering::Relaxed),
        }
    }

    /// How many commits wait for their answers.
    #[must_use]
    pub fn waiting(&self) -> usize {
        QUEUE.saturating_sub(self.room.available_permits())
    }

    /// Ends the writer after what waits already, and closes every connection.
    pub async fn close(&self) {
        // A writer that is gone already has closed its own.
        if self.ask(Message::Close).await.is_ok() {
            self.writer.closed().await;
        }
        let mut checkpoints = self.checkpoints.clone();
        while checkpoints.changed().await.is_ok() {}
        self.reader.database.close().await;
    }

    /// Asks before everything that waits.
    async fn order<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, StoreError> {
        let (answer, wait) = oneshot::channel();
        let asked = async {
            self.urgent.send(message(answer)).await.map_err(|_| closed())?;
            wait.await.map_err(|_| closed())
        };
        self.asking.answer(asked).await
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, StoreError> {
        let (answer, wait) = oneshot::channel();
        let asked = async {
            self.writer.send(message(answer)).await.map_err(|_| closed())?;
            wait.await.map_err(|_| closed())
        };
        self.asking.answer(asked).await
    }
}
