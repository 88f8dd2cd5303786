//! The columns of storage pools, and which compute hosts reach them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use velum_model::{
    Name,
    id::{ClusterId, ComputeHostId, StoragePoolId, TemplateId},
    infrastructure::PoolScope,
    port::placement::{Column, registry},
    quantity::GIB,
};

use crate::{
    hosts::{Way, attribute, scaled, set},
    row::{Row, RowMask},
    update::{HostRow, LayerClaim, PoolRow},
};

/// Pools as columns; a vacant row has no record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pools {
    pub(crate) records: Vec<Option<PoolRow>>,
    pub(crate) bytes_used: Vec<u64>,
    tags: HashMap<Name, RowMask>,
    attributes: HashMap<Name, Vec<u32>>,
    row_of: HashMap<StoragePoolId, Row>,
    vacant: Vec<Row>,
    /// Rows by scope, each ascending.
    of_zone: Vec<Row>,
    of_cluster: HashMap<ClusterId, Vec<Row>>,
    of_host: HashMap<ComputeHostId, Vec<Row>>,
    /// What each pool holds of each template.
    pub(crate) layers: HashMap<(StoragePoolId, TemplateId), LayerClaim>,
}

/// Pools as a snapshot keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PoolsKept {
    rows: Vec<Option<PoolRow>>,
    vacant: Vec<Row>,
}

impl Pools {
    pub(crate) fn keep(&self) -> PoolsKept {
        PoolsKept {
            rows: self.records.clone(),
            vacant: self.vacant.clone(),
        }
    }

    pub(crate) fn rebuild(kept: PoolsKept) -> Self {
        let mut pools = Self::default();
        for record in kept.rows {
            match record {
                Some(pool) => {
                    pools.put(pool);
                }
                None => {
                    pools.records.push(None);
                    pools.bytes_used.push(0);
                }
            }
        }
        pools.vacant = kept.vacant;
        pools
    }

    pub(crate) fn len(&self) -> u32 {
        self.records.len() as u32
    }

    pub(crate) fn row(&self, id: StoragePoolId) -> Option<Row> {
        self.row_of.get(&id).copied()
    }

    pub(crate) fn record(&self, row: Row) -> Option<&PoolRow> {
        self.records.get(row as usize)?.as_ref()
    }

    pub(crate) fn free(&self, row: Row) -> u64 {
        let used = self.bytes_used.get(row as usize).copied().unwrap_or(0);
        self.record(row)
            .map_or(0, |pool| pool.capacity_bytes.saturating_sub(used))
    }

    pub(crate) fn has_tag(&self, row: Row, tag: &Name) -> bool {
        self.tags.get(tag).is_some_and(|rows| rows.contains(row))
    }

    /// Pools that every compute host of a cluster reaches.
    pub(crate) fn shared_with(&self, cluster: ClusterId) -> impl Iterator<Item = Row> + '_ {
        let own = self.of_cluster.get(&cluster).into_iter().flatten();
        self.of_zone.iter().chain(own).copied()
    }

    /// Pools that only this compute host reaches.
    pub(crate) fn local_to(&self, host: ComputeHostId) -> impl Iterator<Item = Row> + '_ {
        self.of_host.get(&host).into_iter().flatten().copied()
    }

    /// Whether there are pools that only this compute host reaches.
    pub(crate) fn has_local(&self, host: ComputeHostId) -> bool {
        self.of_host.get(&host).is_some_and(|rows| !rows.is_empty())
    }

    /// Pools whose scope has this compute host, ascending.
    pub(crate) fn in_scope_of(&self, host: &HostRow) -> Vec<Row> {
        let mut rows: Vec<Row> = self
            .shared_with(host.cluster)
            .chain(self.local_to(host.id))
            .collect();
        rows.sort_unstable();
        rows
    }

    /// Puts a pool into its row, or a new one. True when the number of rows grew.
    pub(crate) fn put(&mut self, pool: PoolRow) -> (Row, bool) {
        let (row, grew) = match (self.row(pool.id), self.vacant.pop()) {
            (Some(row), spare) => {
                self.vacant.extend(spare);
                self.forget_labels(row);
                (row, false)
            }
            (None, Some(row)) => (row, false),
            (None, None) => {
                self.records.push(None);
                self.bytes_used.push(0);
                (self.len() - 1, true)
            }
        };
        self.row_of.insert(pool.id, row);
        for tag in &pool.tags {
            self.tags.entry(tag.clone()).or_default().insert(row);
        }
        for (name, &value) in &pool.attributes {
            let column = self.attributes.entry(name.clone()).or_default();
            if column.len() <= row as usize {
                column.resize(row as usize + 1, 0);
            }
            set(column, row, value);
        }
        let of_scope = match pool.scope {
            PoolScope::Zone => &mut self.of_zone,
            PoolScope::Cluster(cluster) => self.of_cluster.entry(cluster).or_default(),
            PoolScope::ComputeHost(host) => self.of_host.entry(host).or_default(),
        };
        of_scope.push(row);
        of_scope.sort_unstable();
        set(&mut self.records, row, Some(pool));
        (row, grew)
    }

    fn forget_labels(&mut self, row: Row) {
        for rows in self.tags.values_mut() {
            rows.remove(row);
        }
        for column in self.attributes.values_mut() {
            set(column, row, 0);
        }
        self.of_zone.retain(|&other| other != row);
        for rows in self.of_cluster.values_mut().chain(self.of_host.values_mut()) {
            rows.retain(|&other| other != row);
        }
    }

    /// Vacates a row. What lay there went before (RESTRICT).
    pub(crate) fn remove(&mut self, id: StoragePoolId) -> Option<Row> {
        let row = self.row_of.remove(&id)?;
        self.forget_labels(row);
        set(&mut self.records, row, None);
        set(&mut self.bytes_used, row, 0);
        self.layers.retain(|(pool, _), _| *pool != id);
        self.vacant.push(row);
        Some(row)
    }

    /// Counts bytes in or out. None when the pool is not known.
    pub(crate) fn count(&mut self, pool: StoragePoolId, bytes: u64, way: Way) -> Option<Row> {
        let row = self.row(pool)?;
        way.shift(self.bytes_used.get_mut(row as usize)?, bytes);
        Some(row)
    }

    /// What a pool still needs for a template: nothing once it has a layer of it.
    pub(crate) fn layer_need(&self, pool: StoragePoolId, template: TemplateId, bytes: u64) -> u64 {
        if self.layers.contains_key(&(pool, template)) {
            0
        } else {
            bytes
        }
    }

    /// The value of a policy's column in a row, scaled as it wants.
    pub(crate) fn value(&self, column: &Column, row: Row) -> u32 {
        let total = self.record(row).map_or(0, |pool| pool.capacity_bytes);
        let value = match column.id {
            registry::COLUMN_ATTRIBUTE => u64::from(attribute(&self.attributes, column, row)),
            registry::COLUMN_FREE_GIB => self.free(row) / GIB,
            registry::COLUMN_TOTAL_GIB => total / GIB,
            _ => 0,
        };
        scaled(value, column.scale)
    }
}
