//! The store: opening, committing, leases.

use std::sync::Arc;

use uuid::Uuid;
use velum_model::{chance::Ids, id::*, operation::Event, tenancy::Scope, time::Clock};

use crate::{
    commit::{Commit, Committed, StoreError, StoredAnswer},
    reader::Reader,
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
}

fn not_yet<T>() -> Result<T, StoreError> {
    Err(StoreError::Unusable("the store is being built".into()))
}

impl Store {
    /// Opens the database, migrates and checks it, starts the writer. Owns no shard yet: see [`Store::take_over`].
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when the database is newer than this version, or its engine too old;
    /// [`StoreError::Database`] when it does not answer.
    pub async fn open(_options: StoreOptions) -> Result<Self, StoreError> {
        not_yet()
    }

    /// Commits, and answers when it is durable. Nothing of a refused commit is there.
    ///
    /// # Errors
    /// [`StoreError::Refused`] says why; [`StoreError::Busy`] when too much waits; else the database failed, and
    /// whether it is there must be looked up.
    pub async fn commit(&self, _commit: Commit) -> Result<Committed, StoreError> {
        not_yet()
    }

    /// Becomes the owner of every shard: each epoch grows by one, so that what an earlier owner still commits is
    /// refused. With `wait_for_lease` it first waits until the leases of other holders have run out; without, it takes
    /// them at once.
    ///
    /// # Errors
    /// The database failed.
    pub async fn take_over(&self, _wait_for_lease: bool) -> Result<Vec<(ShardId, u64)>, StoreError> {
        not_yet()
    }

    /// Keeps the leases of the shards that this server owns.
    ///
    /// # Errors
    /// `Refused::Fenced` when another has taken one; the database failed.
    pub async fn renew(&self) -> Result<(), StoreError> {
        not_yet()
    }

    /// The epoch under which this server owns a shard.
    #[must_use]
    pub fn epoch(&self, _shard: ShardId) -> Option<u64> {
        None
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
        _token: TokenId,
        _key: &str,
        _request_hash: &[u8],
    ) -> Result<Option<StoredAnswer>, StoreError> {
        not_yet()
    }

    /// Stores a token by its hash.
    ///
    /// # Errors
    /// `Refused::NameTaken` when the name or the hash is there already; the database failed.
    pub async fn insert_token(
        &self,
        _token: TokenId,
        _name: &str,
        _hash: &[u8],
        _scope: Scope,
    ) -> Result<(), StoreError> {
        not_yet()
    }

    /// Recounts every sum from its claim rows and looks for rows without the row that they live by. Empty is well.
    ///
    /// # Errors
    /// The database failed.
    pub async fn audit(&self) -> Result<Vec<Discrepancy>, StoreError> {
        not_yet()
    }

    /// SQL statements sent by the writer since it began, and transactions that it committed: statements per commit.
    #[must_use]
    pub fn statements(&self) -> (u64, u64) {
        (0, 0)
    }

    /// Ends the writer after what waits already, and closes every connection.
    pub async fn close(&self) {}
}
