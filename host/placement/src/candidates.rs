//! Which compute hosts can take asks of one shape, kept and brought up to date row by row.

use velum_model::{ProjectId, decision::Refusal, infrastructure::PoolScope, port::placement::registry};

use crate::{
    ask::Ask,
    filter::{PoolsInReach, Stage, by_itself, stage},
    inventory::Inventory,
    row::Row,
};

/// Nothing refuses the row.
const FITS: u16 = 0;
/// No compute host is there.
const VACANT: u16 = 1;

/// What the filters say of each row, for every ask of one shape: all of the ask but what ties its very instance to hosts.
#[derive(Clone, Debug)]
pub(crate) struct Candidates {
    shape: Ask,
    /// The project, if rows are kept for it. All others are refused the same rows and share a shape.
    tenant: Option<ProjectId>,
    epoch: u64,
    /// One a row: [`FITS`], [`VACANT`], or a number from `reasons`.
    verdicts: Vec<u16>,
    /// How often each number stands among them.
    counts: Vec<u32>,
    /// What refuses, from number 2 on. There are a dozen filters, and an ask has few tags.
    reasons: Vec<Refusal>,
    pools: PoolsInReach,
    /// Of each pool and disk: how far it comes, whoever attaches. What is promised of a pool changes with every machine, what this
    /// says hardly ever.
    stages: Vec<Stage>,
}

/// What may be otherwise after an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// Every row.
    All,
    /// These, in no order.
    Rows(Vec<Row>),
}

impl Candidates {
    /// Looks at the whole zone.
    pub(crate) fn of(inventory: &Inventory, ask: &Ask) -> Self {
        let mut candidates = Self {
            shape: Ask {
                pinned: Vec::new(),
                excluded: Vec::new(),
                previous: None,
                ties: Vec::new(),
                ending: None,
                ..ask.clone()
            },
            tenant: inventory.hosts.tenant(ask.project),
            epoch: 0,
            verdicts: Vec::new(),
            counts: Vec::new(),
            reasons: Vec::new(),
            pools: PoolsInReach::new(&[]),
            stages: Vec::new(),
        };
        candidates.look_at_all(inventory);
        candidates
    }

    /// Whether both are for the same asks.
    pub(crate) fn are_like(&self, other: &Self) -> bool {
        self.have_shape(&other.shape) && self.tenant == other.tenant
    }

    /// Whether they are for an ask.
    pub(crate) fn are_for(&self, inventory: &Inventory, ask: &Ask) -> bool {
        self.have_shape(ask) && self.tenant == inventory.hosts.tenant(ask.project)
    }

    fn have_shape(&self, ask: &Ask) -> bool {
        let shape = &self.shape;
        shape.vcpus == ask.vcpus
            && shape.memory == ask.memory
            && shape.resources == ask.resources
            && shape.disks == ask.disks
            && shape.host_tags == ask.host_tags
            && shape.nic_kinds == ask.nic_kinds
            && shape.arch == ask.arch
    }

    /// Brings them to the inventory.
    pub(crate) fn catch_up(&mut self, inventory: &Inventory) -> Moved {
        if self.epoch == inventory.epoch() {
            return Moved::Rows(Vec::new());
        }
        let hosts = inventory.touched_since(registry::ROW_COMPUTE_HOST, self.epoch);
        let pools = inventory.touched_since(registry::ROW_STORAGE_POOL, self.epoch);
        let (Some(mut rows), Some(pools)) = (hosts, pools) else {
            self.look_at_all(inventory);
            return Moved::All;
        };
        if inventory.pools_remade() > self.epoch {
            self.look_at_all(inventory);
            return Moved::All;
        }
        self.grow(inventory.hosts.len());
        self.look_at_pools(inventory, &pools, &mut rows);
        for &row in &rows {
            self.look_at(inventory, row);
        }
        self.epoch = inventory.epoch();
        Moved::Rows(rows)
    }

    fn look_at_all(&mut self, inventory: &Inventory) {
        let rows = inventory.hosts.len();
        self.epoch = inventory.epoch();
        self.pools = PoolsInReach::new(&self.shape.disks);
        self.stages = (0..inventory.pools.len())
            .flat_map(|pool| self.stages_of(inventory, pool))
            .collect();
        self.reasons.clear();
        self.verdicts = vec![VACANT; rows as usize];
        self.counts = vec![0, rows];
        for row in 0..rows {
            self.look_at(inventory, row);
        }
    }

    fn grow(&mut self, rows: u32) {
        let more = rows.saturating_sub(self.verdicts.len() as u32);
        self.verdicts.resize(rows as usize, VACANT);
        if let Some(vacant) = self.counts.get_mut(usize::from(VACANT)) {
            *vacant += more;
        }
    }

    fn stages_of(&self, inventory: &Inventory, pool: Row) -> Vec<Stage> {
        let disks = self.shape.disks.iter();
        disks.map(|disk| stage(inventory, pool, None, disk, 0)).collect()
    }

    /// Finds the rows that a change of these pools concerns.
    fn look_at_pools(&mut self, inventory: &Inventory, pools: &[Row], rows: &mut Vec<Row>) {
        let disks = self.shape.disks.len();
        let mut scopes = Vec::new();
        for &pool in pools {
            let now = self.stages_of(inventory, pool);
            let begin = pool as usize * disks;
            let Some(known) = self.stages.get_mut(begin..begin + disks) else {
                continue;
            };
            if *known != *now {
                known.copy_from_slice(&now);
                scopes.extend(inventory.pools.record(pool).map(|pool| pool.scope));
            }
        }
        if scopes.is_empty() {
            return;
        }
        let is_near = |cluster| {
            let reached = |scope: &PoolScope| match scope {
                PoolScope::Zone => true,
                PoolScope::Cluster(of) => *of == cluster,
                PoolScope::ComputeHost(_) => false,
            };
            scopes.iter().any(reached)
        };
        let mut is_other = vec![false; inventory.hosts.reaches() as usize + 1];
        for (number, is_other) in (0u32..).zip(&mut is_other) {
            let concerned = inventory
                .hosts
                .reach(number)
                .is_some_and(|(cluster, _)| is_near(*cluster));
            *is_other = concerned && self.pools.judge_again(inventory, number);
        }
        if is_other.contains(&true) {
            let moved = |&row: &Row| {
                let number = inventory.hosts.reach_of(row) as usize;
                is_other.get(number).copied().unwrap_or(false)
            };
            rows.extend((0..inventory.hosts.len()).filter(moved));
        }
        rows.extend(scopes.iter().filter_map(|scope| match scope {
            PoolScope::ComputeHost(host) => inventory.hosts.row(*host),
            PoolScope::Zone | PoolScope::Cluster(_) => None,
        }));
        rows.sort_unstable();
        rows.dedup();
    }

    fn look_at(&mut self, inventory: &Inventory, row: Row) {
        let verdict = match inventory.hosts.record(row) {
            None => VACANT,
            Some(host) => {
                let refusal = by_itself(inventory, (&self.shape, self.tenant), row, host)
                    .or_else(|| self.pools.refuse(inventory, row, host));
                refusal.map_or(FITS, |refusal| self.number_of(refusal))
            }
        };
        let Some(known) = self.verdicts.get_mut(row as usize) else {
            return;
        };
        let before = std::mem::replace(known, verdict);
        for (number, by) in [(before, u32::MAX), (verdict, 1)] {
            if let Some(count) = self.counts.get_mut(number as usize) {
                *count = count.wrapping_add(by);
            }
        }
    }

    fn number_of(&mut self, refusal: Refusal) -> u16 {
        let known = self.reasons.iter().position(|known| *known == refusal);
        let number = known.unwrap_or_else(|| {
            self.reasons.push(refusal);
            self.counts.push(0);
            self.reasons.len() - 1
        });
        number as u16 + VACANT + 1
    }

    /// Whether the filters left the row.
    pub(crate) fn has(&self, row: Row) -> bool {
        self.verdicts.get(row as usize) == Some(&FITS)
    }

    /// Why they did not.
    pub(crate) fn refusal(&self, row: Row) -> Option<&Refusal> {
        let verdict = self.verdicts.get(row as usize)?;
        self.reasons.get(usize::from(verdict.checked_sub(VACANT + 1)?))
    }

    /// Rows that they left, ascending.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        let rows = (0..).zip(&self.verdicts);
        rows.filter(|&(_, &verdict)| verdict == FITS).map(|(row, _)| row)
    }

    /// Rows of the zone, vacant ones included.
    pub(crate) fn rows_in_all(&self) -> u32 {
        self.verdicts.len() as u32
    }

    /// How many rows they left.
    pub(crate) fn count(&self) -> u32 {
        self.counts.first().copied().unwrap_or(0)
    }

    /// Rows in which there is a compute host.
    pub(crate) fn considered(&self) -> u32 {
        self.verdicts.len() as u32 - self.counts.get(usize::from(VACANT)).copied().unwrap_or(0)
    }

    /// How many rows each reason refused.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&Refusal, u32)> {
        let counts = self.counts.iter().skip(usize::from(VACANT) + 1).copied();
        self.reasons.iter().zip(counts).filter(|&(_, count)| count > 0)
    }
}
