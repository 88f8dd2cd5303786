//! The columns of compute hosts.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use velum_model::{
    Name,
    id::{ClusterId, ComputeHostId, PodId, ProjectId},
    infrastructure::{HostState, Intent},
    port::placement::{Column, registry},
    quantity::Overcommit,
};

use crate::{
    ends::Ends,
    resources::ResourceColumns,
    row::{Row, RowMask},
    update::{HostRow, Part, RunClaim},
};

/// Compute hosts as columns; a vacant row has no record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    pub(crate) records: Vec<Option<HostRow>>,
    pub(crate) vcpus_limit: Vec<u64>,
    pub(crate) vcpus_used: Vec<u64>,
    pub(crate) memory_limit: Vec<u64>,
    pub(crate) memory_used: Vec<u64>,
    pub(crate) runs: Vec<u32>,
    pub(crate) resources: ResourceColumns,
    ends: Vec<Ends>,
    /// Rows of the same pod and cluster share a number; 0 is none.
    pod: Numbers<PodId>,
    cluster: Numbers<ClusterId>,
    /// Rows of one cluster whose drivers attach in the same ways reach the same shared pools: they share a number too.
    reach: Numbers<Reach>,
    reach_of: Vec<u32>,
    /// One set of rows a tag.
    tags: HashMap<Name, RowMask>,
    /// One column an attribute.
    attributes: HashMap<Name, Vec<u32>>,
    row_of: HashMap<ComputeHostId, Row>,
    vacant: Vec<Row>,
    /// Runs of a project on a row.
    of_project: HashMap<ProjectId, HashMap<Row, u32>>,
    /// What is dedicated, and to whom.
    dedicated: BTreeMap<Part, ProjectId>,
    /// Whom a row is kept for, by the narrowest part that is dedicated.
    tenants: HashMap<Row, ProjectId>,
    /// Rows by whom they are kept for; nobody without any.
    of_tenant: HashMap<ProjectId, RowMask>,
}

/// A cluster, and the ways of attaching that a driver there knows.
pub(crate) type Reach = (ClusterId, Vec<u16>);

/// Keys as small numbers, from 1, in the order of their first coming.
#[derive(Clone, Debug)]
struct Numbers<K> {
    known: HashMap<K, u32>,
    in_order: Vec<K>,
}

impl<K> Default for Numbers<K> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            in_order: Vec::new(),
        }
    }
}

impl<K: Clone + Eq + std::hash::Hash> Numbers<K> {
    fn intern(&mut self, key: K) -> u32 {
        if let Some(&number) = self.known.get(&key) {
            return number;
        }
        self.in_order.push(key.clone());
        let number = self.in_order.len() as u32;
        self.known.insert(key, number);
        number
    }

    fn get(&self, key: &K) -> u32 {
        self.known.get(key).copied().unwrap_or(0)
    }
}

/// The state of a row that decides before anything else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Vacant,
    Disabled,
    Maintenance,
    NotUp,
    Open,
}

/// Compute hosts as a snapshot keeps them: what the columns cannot be recounted from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostsKept {
    rows: Vec<Option<HostRow>>,
    vacant: Vec<Row>,
    pods: Vec<PodId>,
    clusters: Vec<ClusterId>,
    dedicated: Vec<(Part, ProjectId)>,
}

impl Hosts {
    pub(crate) fn keep(&self) -> HostsKept {
        HostsKept {
            rows: self.records.clone(),
            vacant: self.vacant.clone(),
            pods: self.pod.in_order.clone(),
            clusters: self.cluster.in_order.clone(),
            dedicated: self.dedicated.iter().map(|(&part, &to)| (part, to)).collect(),
        }
    }

    pub(crate) fn rebuild(
        kept: HostsKept,
        overcommit: impl Fn(ClusterId) -> (Overcommit, Overcommit),
    ) -> Self {
        let mut hosts = Self {
            dedicated: kept.dedicated.into_iter().collect(),
            ..Self::default()
        };
        for pod in kept.pods {
            hosts.pod.intern(pod);
        }
        for cluster in kept.clusters {
            hosts.cluster.intern(cluster);
        }
        for record in kept.rows {
            match record {
                Some(host) => {
                    let ratios = overcommit(host.cluster);
                    hosts.put(host, ratios);
                }
                None => hosts.grow(),
            }
        }
        hosts.vacant = kept.vacant;
        hosts
    }

    pub(crate) fn len(&self) -> u32 {
        self.records.len() as u32
    }

    pub(crate) fn row(&self, id: ComputeHostId) -> Option<Row> {
        self.row_of.get(&id).copied()
    }

    pub(crate) fn record(&self, row: Row) -> Option<&HostRow> {
        self.records.get(row as usize)?.as_ref()
    }

    pub(crate) fn gate(&self, row: Row) -> Gate {
        match self.record(row) {
            None => Gate::Vacant,
            Some(host) => match (host.intent, host.observed) {
                (Intent::Disabled, _) => Gate::Disabled,
                (Intent::Maintenance, _) => Gate::Maintenance,
                (Intent::Enabled, HostState::Up) => Gate::Open,
                (Intent::Enabled, _) => Gate::NotUp,
            },
        }
    }

    pub(crate) fn free_vcpus(&self, row: Row) -> u64 {
        free(&self.vcpus_limit, &self.vcpus_used, row)
    }

    pub(crate) fn free_memory(&self, row: Row) -> u64 {
        free(&self.memory_limit, &self.memory_used, row)
    }

    pub(crate) fn has_tag(&self, row: Row, tag: &Name) -> bool {
        self.tags.get(tag).is_some_and(|rows| rows.contains(row))
    }

    /// The number of a row's [`Reach`], from 1; 0 for a vacant row.
    pub(crate) fn reach_of(&self, row: Row) -> u32 {
        self.reach_of.get(row as usize).copied().unwrap_or(0)
    }

    /// What a number of [`Self::reach_of`] stands for.
    pub(crate) fn reach(&self, number: u32) -> Option<&Reach> {
        self.reach.in_order.get((number as usize).checked_sub(1)?)
    }

    /// How many there are: the largest number.
    pub(crate) fn reaches(&self) -> u32 {
        self.reach.in_order.len() as u32
    }

    /// Runs of a project by row, ascending.
    pub(crate) fn runs_of(&self, project: ProjectId) -> Vec<(Row, u32)> {
        let mut rows: Vec<_> = self
            .of_project
            .get(&project)
            .into_iter()
            .flatten()
            .map(|(&row, &runs)| (row, runs))
            .collect();
        rows.sort_unstable();
        rows
    }

    /// Of each of `rows`: the runs of a project in the row's pod, on whatever compute host; those without any are left out.
    pub(crate) fn runs_in_pods_of(&self, project: ProjectId, rows: &[Row]) -> Vec<(Row, u32)> {
        let pod = |row: Row| self.record(row).map_or(0, |host| self.pod.get(&host.pod));
        let mut of_pod = vec![0_u32; self.pod.in_order.len() + 1];
        for (&row, &runs) in self.of_project.get(&project).into_iter().flatten() {
            if let Some(sum) = of_pod.get_mut(pod(row) as usize) {
                *sum = sum.saturating_add(runs);
            }
        }
        let sum = |&row: &Row| (row, of_pod.get(pod(row) as usize).copied().unwrap_or(0));
        rows.iter().map(sum).filter(|&(_, runs)| runs > 0).collect()
    }

    /// Puts a host into its row, or a new one. True when the number of rows grew.
    pub(crate) fn put(&mut self, host: HostRow, overcommit: (Overcommit, Overcommit)) -> (Row, bool) {
        let (row, grew) = match (self.row(host.id), self.vacant.pop()) {
            (Some(row), spare) => {
                self.vacant.extend(spare);
                self.forget_labels(row);
                (row, false)
            }
            (None, Some(row)) => (row, false),
            (None, None) => {
                self.grow();
                (self.len() - 1, true)
            }
        };
        self.row_of.insert(host.id, row);
        self.pod.intern(host.pod);
        self.cluster.intern(host.cluster);
        let number = self.reach.intern((host.cluster, host.attachment_kinds.clone()));
        set(&mut self.reach_of, row, number);
        for tag in &host.tags {
            self.tags.entry(tag.clone()).or_default().insert(row);
        }
        for (name, &value) in &host.attributes {
            let column = self.attributes.entry(name.clone()).or_default();
            if column.len() <= row as usize {
                column.resize(row as usize + 1, 0);
            }
            set(column, row, value);
        }
        set(
            &mut self.vcpus_limit,
            row,
            overcommit.0.ceiling(u64::from(host.vcpus)),
        );
        set(&mut self.memory_limit, row, overcommit.1.ceiling(host.memory_mib));
        self.resources.state(row, &host.resources);
        set(&mut self.records, row, Some(host));
        self.follow_tenant(row);
        (row, grew)
    }

    /// Dedicates a part to a project, or to none. Answers the rows that are kept for another than before; none = it was so already.
    pub(crate) fn dedicate(&mut self, part: Part, to: Option<ProjectId>) -> Option<Vec<Row>> {
        let before = match to {
            Some(project) => self.dedicated.insert(part, project),
            None => self.dedicated.remove(&part),
        };
        if before == to {
            return None;
        }
        let rows: Vec<Row> = match part {
            Part::ComputeHost(id) => self.row(id).into_iter().collect(),
            Part::Pod(_) | Part::Cluster(_) => (0..self.len()).collect(),
        };
        Some(rows.into_iter().filter(|&row| self.follow_tenant(row)).collect())
    }

    /// Finds out whom a row is kept for. True when it is another than before.
    fn follow_tenant(&mut self, row: Row) -> bool {
        let of = |part: Part| self.dedicated.get(&part).copied();
        let now = self
            .record(row)
            .filter(|_| !self.dedicated.is_empty())
            .and_then(|host| {
                of(Part::ComputeHost(host.id))
                    .or_else(|| of(Part::Cluster(host.cluster)))
                    .or_else(|| of(Part::Pod(host.pod)))
            });
        let before = match now {
            Some(project) => self.tenants.insert(row, project),
            None => self.tenants.remove(&row),
        };
        if before == now {
            return false;
        }
        if let Some(before) = before
            && let Some(rows) = self.of_tenant.get_mut(&before)
        {
            rows.remove(row);
            if rows.count() == 0 {
                self.of_tenant.remove(&before);
            }
        }
        if let Some(now) = now {
            self.of_tenant.entry(now).or_default().insert(row);
        }
        true
    }

    /// Whom a row is kept for.
    pub(crate) fn tenant_of(&self, row: Row) -> Option<ProjectId> {
        self.tenants.get(&row).copied()
    }

    /// The project, if rows are kept for it.
    pub(crate) fn tenant(&self, project: ProjectId) -> Option<ProjectId> {
        self.of_tenant.contains_key(&project).then_some(project)
    }

    /// Rows that are kept for a project; none without any.
    pub(crate) fn rows_of_tenant(&self, project: ProjectId) -> Option<&RowMask> {
        self.of_tenant.get(&project)
    }

    fn grow(&mut self) {
        self.records.push(None);
        self.runs.push(0);
        self.ends.push(Ends::default());
        self.reach_of.push(0);
        for column in [
            &mut self.vcpus_limit,
            &mut self.vcpus_used,
            &mut self.memory_limit,
            &mut self.memory_used,
        ] {
            column.push(0);
        }
    }

    fn forget_labels(&mut self, row: Row) {
        for rows in self.tags.values_mut() {
            rows.remove(row);
        }
        for column in self.attributes.values_mut() {
            set(column, row, 0);
        }
    }

    /// Vacates a row. What ran there went before (RESTRICT).
    pub(crate) fn remove(&mut self, id: ComputeHostId) -> Option<Row> {
        let row = self.row_of.remove(&id)?;
        self.forget_labels(row);
        for by_row in self.of_project.values_mut() {
            by_row.remove(&row);
        }
        set(&mut self.records, row, None);
        self.resources.forget(row);
        self.dedicated.remove(&Part::ComputeHost(id));
        self.follow_tenant(row);
        set(&mut self.runs, row, 0);
        set(&mut self.ends, row, Ends::default());
        set(&mut self.reach_of, row, 0);
        for column in [
            &mut self.vcpus_limit,
            &mut self.vcpus_used,
            &mut self.memory_limit,
            &mut self.memory_used,
        ] {
            set(column, row, 0);
        }
        self.vacant.push(row);
        Some(row)
    }

    /// Counts a run in or out. None when its host is not known.
    pub(crate) fn count(&mut self, claim: &RunClaim, way: Way) -> Option<Row> {
        let row = self.row(claim.host)?;
        way.shift(self.vcpus_used.get_mut(row as usize)?, u64::from(claim.vcpus));
        way.shift(self.memory_used.get_mut(row as usize)?, claim.memory_mib);
        let runs = self.runs.get_mut(row as usize)?;
        *runs = match way {
            Way::In => runs.saturating_add(1),
            Way::Out => runs.saturating_sub(1),
        };
        let ends = self.ends.get_mut(row as usize)?;
        match way {
            Way::In => ends.insert(claim.expected_end),
            Way::Out => ends.remove(claim.expected_end),
        }
        let by_row = self.of_project.entry(claim.project).or_default();
        match way {
            Way::In => *by_row.entry(row).or_default() += 1,
            Way::Out => {
                if let Some(count) = by_row.get_mut(&row) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        by_row.remove(&row);
                    }
                }
            }
        }
        Some(row)
    }

    /// The value of a policy's column in a row, scaled as it wants.
    pub(crate) fn value(&self, column: &Column, row: Row) -> u32 {
        let host = self.record(row);
        let at = |values: &[u64]| values.get(row as usize).copied().unwrap_or(0);
        let value = match column.id {
            registry::COLUMN_ATTRIBUTE => u64::from(attribute(&self.attributes, column, row)),
            registry::COLUMN_FREE_VCPUS => self.free_vcpus(row),
            registry::COLUMN_FREE_MEMORY_MIB => self.free_memory(row),
            registry::COLUMN_TOTAL_VCPUS => at(&self.vcpus_limit),
            registry::COLUMN_TOTAL_MEMORY_MIB => at(&self.memory_limit),
            registry::COLUMN_FREE_RESOURCE => {
                column.resource().map_or(0, |name| self.resources.free(name, row))
            }
            registry::COLUMN_TOTAL_RESOURCE => column
                .resource()
                .map_or(0, |name| self.resources.limit(name, row)),
            registry::COLUMN_RUNS => u64::from(self.runs.get(row as usize).copied().unwrap_or(0)),
            registry::COLUMN_LATEST_END => u64::from(self.ends.get(row as usize).map_or(0, Ends::latest)),
            registry::COLUMN_POD => host.map_or(0, |h| u64::from(self.pod.get(&h.pod))),
            registry::COLUMN_CLUSTER => host.map_or(0, |h| u64::from(self.cluster.get(&h.cluster))),
            _ => 0,
        };
        scaled(value, column.scale)
    }
}

/// In or out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

impl Way {
    pub(crate) fn shift(self, sum: &mut u64, by: u64) {
        *sum = match self {
            Self::In => sum.saturating_add(by),
            Self::Out => sum.saturating_sub(by),
        };
    }
}

pub(crate) fn attribute(columns: &HashMap<Name, Vec<u32>>, column: &Column, row: Row) -> u32 {
    let name = column.name.as_deref().and_then(|name| Name::new(name).ok());
    name.and_then(|name| columns.get(&name)?.get(row as usize).copied())
        .unwrap_or(0)
}

/// `value` times 10 to the `scale`, in 32 bits; what does not fit is the largest number.
pub(crate) fn scaled(value: u64, scale: i8) -> u32 {
    let factor = 10u64.saturating_pow(u32::from(scale.unsigned_abs()));
    let value = if scale < 0 {
        value / factor
    } else {
        value.saturating_mul(factor)
    };
    u32::try_from(value).unwrap_or(u32::MAX)
}

pub(crate) fn set<T>(column: &mut [T], row: Row, value: T) {
    if let Some(cell) = column.get_mut(row as usize) {
        *cell = value;
    }
}

fn free(limit: &[u64], used: &[u64], row: Row) -> u64 {
    let at = |column: &[u64]| column.get(row as usize).copied().unwrap_or(0);
    at(limit).saturating_sub(at(used))
}
