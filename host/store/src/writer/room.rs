//! Room: what a batch claims and releases of compute hosts and pools, added up, guarded, applied in the order of ids.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use uuid::Uuid;
use velum_model::{ComputeHostId, StoragePoolId, resource::ResourceName};

use super::{Failure, apply::Transaction};
use crate::{
    commit::{Refused, StoreError},
    db::Row,
    encode::{bare, row},
    sql::claims::{HOST_LIMITS, HOST_ROOM, POOL_LIMITS, POOL_ROOM},
    told::{HostRoom, PoolRoom},
};

/// Two amounts of a compute host (vCPUs, MiB); of a pool (bytes) and of a resource only the first.
pub(super) type Amounts = [u64; 2];

/// Of each amount: its limit, and how much is used.
pub(super) type Limits = [(u64, u64); 2];

/// Of an amount that a row does not have, or of which it is known that it fits.
pub(super) const NO_LIMIT: (u64, u64) = (u64::MAX, 0);

/// Claimed, released.
pub(super) type Sum = (Amounts, Amounts);

/// Of one kind of row.
pub(super) struct Side<K = Uuid> {
    /// Claims in the order of their commits: whose, of what, how much.
    claimed: Vec<(usize, K, Amounts)>,
    released: BTreeMap<K, Amounts>,
}

/// A resource of a compute host.
pub(super) type Resource = (Uuid, ResourceName);

/// All that a batch claims and releases.
#[derive(Default)]
pub(super) struct Claims {
    pub(super) hosts: Side,
    pub(super) resources: Side<Resource>,
    pub(super) pools: Side,
}

impl<K> Default for Side<K> {
    fn default() -> Self {
        Self {
            claimed: Vec::new(),
            released: BTreeMap::new(),
        }
    }
}

impl<K: Clone + Ord + Hash> Side<K> {
    pub(super) fn claim(&mut self, owner: usize, of: K, amounts: Amounts) {
        self.claimed.push((owner, of, amounts));
    }

    pub(super) fn release(&mut self, of: K, amounts: Amounts) {
        add(self.released.entry(of).or_default(), amounts);
    }

    /// What is claimed and released of each row.
    pub(super) fn sums(&self) -> BTreeMap<K, Sum> {
        let mut sums: BTreeMap<K, Sum> = BTreeMap::new();
        for (_, of, amounts) in &self.claimed {
            add(&mut sums.entry(of.clone()).or_default().0, *amounts);
        }
        for (of, amounts) in &self.released {
            add(&mut sums.entry(of.clone()).or_default().1, *amounts);
        }
        sums
    }

    /// Whose claims do not fit, the first come the first served. What has no `limits` does not exist.
    pub(super) fn too_many(&self, limits: &HashMap<K, Limits>) -> Vec<(usize, K)> {
        let mut guilty: Vec<(usize, K)> = Vec::new();
        let mut taken: HashMap<K, Amounts> = HashMap::new();
        for (owner, of, amounts) in &self.claimed {
            if guilty.iter().any(|(n, _)| n == owner) {
                continue;
            }
            let released = self.released.get(of).copied().unwrap_or_default();
            let before = taken.get(of).copied().unwrap_or_default();
            let fits = limits.get(of).is_some_and(|limits| {
                limits.iter().zip(amounts).zip(before.iter().zip(released)).all(
                    |(((limit, used), amount), (before, released))| {
                        *amount == 0 || used.saturating_sub(released) + before + amount <= *limit
                    },
                )
            });
            if fits {
                add(taken.entry(of.clone()).or_default(), *amounts);
            } else {
                guilty.push((*owner, of.clone()));
            }
        }
        guilty
    }
}

fn add(sum: &mut Amounts, amounts: Amounts) {
    for (sum, amount) in sum.iter_mut().zip(amounts) {
        *sum = sum.saturating_add(amount);
    }
}

impl Transaction<'_> {
    /// Changes the counters. They are shared by many: so they come last.
    pub(super) async fn claim_room(&mut self) -> Result<(), Failure> {
        self.claim_hosts().await?;
        self.claim_resources().await?;
        self.claim_pools().await
    }

    async fn claim_hosts(&mut self) -> Result<(), Failure> {
        let sums = self.claims.hosts.sums();
        let rows = sums
            .iter()
            .map(|(id, ([vcpus, memory], [vcpus_back, memory_back]))| {
                row!({
                    "host": bare(*id), "vcpus_claimed": vcpus, "vcpus_released": vcpus_back,
                    "memory_claimed": memory, "memory_released": memory_back,
                })
            })
            .collect();
        let answered = self.run(&HOST_ROOM, rows, &[]).await?;
        if answered.len() == sums.len() {
            return self.note_hosts(&answered);
        }
        let rows = sums.keys().map(|id| row!({ "id": bare(*id) })).collect();
        // The rows that did go through show what they will be: as if their claims were in twice. Only the others count.
        let changed = super::apply::ids(&answered, "compute_host_room")?;
        let mut limits = HashMap::new();
        for row in self.run(&HOST_LIMITS, rows, &[]).await? {
            let mut columns = row.columns("compute_host_room");
            let id: Uuid = columns.take("id")?;
            let vcpus = (columns.take("vcpus_limit")?, columns.take("vcpus_used")?);
            let memory = (columns.take("memory_limit")?, columns.take("memory_used")?);
            limits.insert(
                id,
                if changed.contains(&id) {
                    [NO_LIMIT; 2]
                } else {
                    [vcpus, memory]
                },
            );
        }
        Err(guilty(
            "compute host",
            self.claims.hosts.too_many(&limits),
            &HOST_ROOM,
        ))
    }

    async fn claim_pools(&mut self) -> Result<(), Failure> {
        let sums = self.claims.pools.sums();
        let rows = sums
            .iter()
            .map(|(id, ([claimed, _], [released, _]))| {
                row!({ "pool": bare(*id), "bytes_claimed": claimed, "bytes_released": released })
            })
            .collect();
        let answered = self.run(&POOL_ROOM, rows, &[]).await?;
        if answered.len() == sums.len() {
            return self.note_pools(&answered);
        }
        let rows = sums.keys().map(|id| row!({ "id": bare(*id) })).collect();
        let changed = super::apply::ids(&answered, "storage_pool_room")?;
        let mut limits = HashMap::new();
        for row in self.run(&POOL_LIMITS, rows, &[]).await? {
            let mut columns = row.columns("storage_pool_room");
            let id: Uuid = columns.take("id")?;
            let bytes = (columns.take("bytes_limit")?, columns.take("bytes_used")?);
            limits.insert(
                id,
                if changed.contains(&id) {
                    [NO_LIMIT; 2]
                } else {
                    [bytes, NO_LIMIT]
                },
            );
        }
        Err(guilty(
            "storage pool",
            self.claims.pools.too_many(&limits),
            &POOL_ROOM,
        ))
    }

    /// Remembers the room that compute hosts have now.
    pub(super) fn note_hosts(&mut self, rows: &[Row]) -> Result<(), Failure> {
        for row in rows {
            let room = host_room(row)?;
            self.host_rooms.insert(room.id.uuid(), room);
        }
        Ok(())
    }

    /// Remembers the room that pools have now.
    pub(super) fn note_pools(&mut self, rows: &[Row]) -> Result<(), Failure> {
        for row in rows {
            let mut columns = row.columns("storage_pool_room");
            let id: StoragePoolId = columns.take("id")?;
            let room = PoolRoom {
                id,
                bytes_used: columns.take("bytes_used")?,
                bytes_ceiling: columns.take("bytes_ceiling")?,
            };
            self.pool_rooms.insert(id.uuid(), room);
        }
        Ok(())
    }
}

fn host_room(row: &Row) -> Result<HostRoom, StoreError> {
    let mut columns = row.columns("compute_host_room");
    let id: ComputeHostId = columns.take("id")?;
    Ok(HostRoom {
        id,
        vcpus_used: columns.take("vcpus_used")?,
        vcpus_ceiling: columns.take("vcpus_ceiling")?,
        memory_used: columns.take("memory_used")?,
        memory_ceiling: columns.take("memory_ceiling")?,
    })
}

/// The failure of those whose claims do not fit.
pub(super) fn guilty(
    table: &'static str,
    guilty: Vec<(usize, Uuid)>,
    statement: &crate::db::Statement,
) -> Failure {
    if guilty.is_empty() {
        // The guard refused what adds up: another writer was in between.
        let source = sqlx::Error::Protocol("a counter changed under the writer".into());
        return Failure::Database {
            attempt: statement.does,
            source,
        };
    }
    Failure::Guilty(
        guilty
            .into_iter()
            .map(|(n, id)| (n, Refused::NoRoom { table, id }))
            .collect(),
    )
}
