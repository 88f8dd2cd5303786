//! What a planner counts of a zone: its claims, in few columns and large pages, for there may be a million.

use std::net::Ipv4Addr;

use velum_model::{
    Timestamp,
    id::*,
    quantity::{Bytes, MemoryMib, Vcpus},
    resource::Resources,
};

use super::Reader;
use crate::{
    commit::StoreError,
    db::{Row, Statement, Value},
};

/// Rows of a page: some two MB, so that another reader of the same connection pool does not wait for long.
const PAGE: u32 = 10_000;

/// What a run holds of its compute host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// Which run.
    pub id: RunId,
    /// Where.
    pub compute_host: ComputeHostId,
    /// Whose.
    pub project: ProjectId,
    /// vCPUs.
    pub vcpus: Vcpus,
    /// Memory.
    pub memory: MemoryMib,
    /// Countable resources.
    pub resources: Resources,
    /// When it is expected to end, if anybody said.
    pub expected_end_at: Option<Timestamp>,
}

/// What a volume holds of its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeRow {
    /// Which volume.
    pub id: VolumeId,
    /// Of which pool.
    pub pool: StoragePoolId,
    /// Its size there.
    pub size: Bytes,
}

/// Which address a NIC has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NicRow {
    /// Which NIC.
    pub id: NicId,
    /// In which network.
    pub network: NetworkId,
    /// Its address.
    pub address: Ipv4Addr,
}

const RUNS: Statement = Statement::common(
    "read the runs of a zone",
    "SELECT r.id, r.compute_host, i.project, r.vcpus, r.memory, r.resources, r.expected_end_at
     FROM run r JOIN instance i ON i.id = r.instance WHERE i.zone = $1 AND r.id > $2 ORDER BY r.id LIMIT $3",
);
const VOLUMES: Statement = Statement::common(
    "read the volumes of a zone",
    "SELECT id, pool, size FROM volume WHERE zone = $1 AND id > $2 ORDER BY id LIMIT $3",
);
const NICS: Statement = Statement::common(
    "read the NICs of a network",
    "SELECT id, network, address FROM nic WHERE network = $1 AND id > $2 ORDER BY id LIMIT $3",
);

/// Every statement of this file.
#[cfg(test)]
pub(super) const ALL: &[&Statement] = &[&RUNS, &VOLUMES, &NICS];

impl Reader {
    /// The runs of a zone. Pages are read one after another: what comes meanwhile may be among them or not.
    ///
    /// # Errors
    /// The database failed, or a row does not read.
    pub async fn run_rows(&self, zone: ZoneId) -> Result<Vec<RunRow>, StoreError> {
        let read = |row: &Row| {
            let mut columns = row.columns("run");
            Ok(RunRow {
                id: columns.take("id")?,
                compute_host: columns.take("compute_host")?,
                project: columns.take("project")?,
                vcpus: columns.take("vcpus")?,
                memory: columns.take("memory")?,
                resources: columns.take("resources")?,
                expected_end_at: columns.take("expected_end_at")?,
            })
        };
        self.rows_of(&RUNS, Value::from(zone), read, |run| Value::from(run.id))
            .await
    }

    /// The volumes of a zone, in the same way.
    ///
    /// # Errors
    /// The database failed, or a row does not read.
    pub async fn volume_rows(&self, zone: ZoneId) -> Result<Vec<VolumeRow>, StoreError> {
        let read = |row: &Row| {
            let mut columns = row.columns("volume");
            Ok(VolumeRow {
                id: columns.take("id")?,
                pool: columns.take("pool")?,
                size: columns.take("size")?,
            })
        };
        self.rows_of(&VOLUMES, Value::from(zone), read, |volume| Value::from(volume.id))
            .await
    }

    /// The NICs of a network, in the same way.
    ///
    /// # Errors
    /// The database failed, or a row does not read.
    pub async fn nic_rows(&self, network: NetworkId) -> Result<Vec<NicRow>, StoreError> {
        let read = |row: &Row| {
            let mut columns = row.columns("nic");
            Ok(NicRow {
                id: columns.take("id")?,
                network: columns.take("network")?,
                address: columns.take("address")?,
            })
        };
        self.rows_of(&NICS, Value::from(network), read, |nic| Value::from(nic.id))
            .await
    }

    async fn rows_of<T>(
        &self,
        statement: &Statement,
        of: Value,
        read: impl Fn(&Row) -> Result<T, StoreError>,
        id: impl Fn(&T) -> Value,
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        let mut after = Value::from(uuid::Uuid::nil());
        loop {
            let values = [of.clone(), after, Value::from(PAGE)];
            let rows = self.database.fetch_patiently(statement, &values).await?;
            for row in &rows {
                all.push(read(row)?);
            }
            match all.last() {
                Some(last) if rows.len() == PAGE as usize => after = id(last),
                _ => return Ok(all),
            }
        }
    }
}
