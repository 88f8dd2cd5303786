//! Room: what a batch claims and releases of compute hosts and pools, added up, guarded, applied in the order of ids.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;
use velum_model::{ComputeHostId, StoragePoolId};

use super::{Failure, apply::Transaction};
use crate::{
    commit::{Refused, StoreError},
    db::Row,
    encode::{bare, row},
    sql::claims::{HOST_LIMITS, HOST_ROOM, POOL_LIMITS, POOL_ROOM},
    told::{HostRoom, PoolRoom},
};

/// Two amounts of a compute host (vCPUs, MiB); of a pool only the first (bytes).
pub(super) type Amounts = [u64; 2];

/// Of one kind of row.
#[derive(Default)]
pub(super) struct Side {
    /// Claims in the order of their commits: whose, of what, how much.
    claimed: Vec<(usize, Uuid, Amounts)>,
    released: BTreeMap<Uuid, Amounts>,
}

/// All that a batch claims and releases.
#[derive(Default)]
pub(super) struct Claims {
    pub(super) hosts: Side,
    pub(super) pools: Side,
}

impl Side {
    pub(super) fn claim(&mut self, owner: usize, of: Uuid, amounts: Amounts) {
        self.claimed.push((owner, of, amounts));
    }

    pub(super) fn release(&mut self, of: Uuid, amounts: Amounts) {
        add(self.released.entry(of).or_default(), amounts);
    }

    /// (claimed, released) of each row.
    fn sums(&self) -> BTreeMap<Uuid, (Amounts, Amounts)> {
        let mut sums: BTreeMap<Uuid, (Amounts, Amounts)> = BTreeMap::new();
        for (_, of, amounts) in &self.claimed {
            add(&mut sums.entry(*of).or_default().0, *amounts);
        }
        for (of, amounts) in &self.released {
            add(&mut sums.entry(*of).or_default().1, *amounts);
        }
        sums
    }

    /// Whose claims do not fit, the first come the first served. `limits` has (limit, used) of each amount; what has
    /// none does not exist.
    fn too_many(&self, limits: &HashMap<Uuid, [(u64, u64); 2]>) -> Vec<(usize, Uuid)> {
        let mut guilty: Vec<(usize, Uuid)> = Vec::new();
        let mut taken: HashMap<Uuid, Amounts> = HashMap::new();
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
                add(taken.entry(*of).or_default(), *amounts);
            } else {
                guilty.push((*owner, *of));
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
                    [(u64::MAX, 0); 2]
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
                    [(u64::MAX, 0); 2]
                } else {
                    [bytes, (u64::MAX, 0)]
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

fn guilty(table: &'static str, guilty: Vec<(usize, Uuid)>, statement: &crate::db::Statement) -> Failure {
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
