//! What is told of a transaction once it is durable.

use velum_model::{id::*, operation::Event};

use crate::commit::Commit;

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
