//! What the affinity groups of an ask say of rows: which they refuse, and which they would rather have.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use velum_model::{
    affinity::{AffinityKind, AffinityLevel, AffinityStrength, AffinityTie},
    decision::{Refusal, Tier},
    id::{PodId, ProjectId},
};

use crate::{
    ask::Ask,
    inventory::Inventory,
    row::{Around, Row, RowMask},
    standings::{Standing, Standings},
};

/// The groups of one ask, and where their other members are.
pub(crate) struct Ties<'a> {
    inventory: &'a Inventory,
    near: Vec<Near<'a>>,
}

/// One group, without the run of the very instance that ends when this ask has its place.
struct Near<'a> {
    tie: &'a AffinityTie,
    by_row: Option<&'a HashMap<Row, u32>>,
    /// In which row the run that ends is a member.
    ending: Option<Row>,
    /// Counted only where the level is the pod.
    by_pod: HashMap<PodId, u32>,
    /// Whether any member is anywhere.
    is_placed: bool,
}

impl<'a> Ties<'a> {
    pub(crate) fn of(inventory: &'a Inventory, ask: &'a Ask) -> Self {
        Self {
            inventory,
            near: ask.ties.iter().map(|tie| Near::of(inventory, ask, tie)).collect(),
        }
    }

    fn required(&self) -> impl Iterator<Item = &Near<'a>> {
        let of = |near: &&Near<'_>| near.tie.strength == AffinityStrength::Required;
        self.near.iter().filter(of)
    }

    fn preferred(&self) -> impl Iterator<Item = &Near<'a>> {
        let of = |near: &&Near<'_>| near.tie.strength == AffinityStrength::Preferred;
        self.near.iter().filter(of)
    }

    /// Why a required group refuses a row, if one does: the first that was named.
    pub(crate) fn refuse(&self, row: Row) -> Option<Refusal> {
        self.required().find_map(|near| {
            let group = || near.tie.name.to_string();
            let members = near.members(self.inventory, row);
            match near.tie.kind {
                AffinityKind::AntiAffinity if members > 0 => Some(Refusal::AntiAffinity { group: group() }),
                AffinityKind::Affinity if members == 0 && near.is_placed => {
                    Some(Refusal::Affinity { group: group() })
                }
                AffinityKind::AntiAffinity | AffinityKind::Affinity => None,
            }
        })
    }

    /// Rows that a required group may refuse; none = any.
    pub(crate) fn refusable(&self) -> Option<Vec<Row>> {
        let mut rows = Vec::new();
        for near in self.required() {
            match near.tie.kind {
                AffinityKind::Affinity if near.is_placed => return None,
                AffinityKind::Affinity => {}
                AffinityKind::AntiAffinity => rows.extend(near.rows(self.inventory)),
            }
        }
        Some(rows)
    }

    /// Members of the affinity groups on rows, ascending: what a policy is told.
    pub(crate) fn kin(&self) -> Vec<(Row, u32)> {
        let mut kin: BTreeMap<Row, u32> = BTreeMap::new();
        let near = self
            .near
            .iter()
            .filter(|near| near.tie.kind == AffinityKind::Affinity);
        for near in near {
            for (&row, _) in near.by_row.into_iter().flatten() {
                *kin.entry(row).or_default() += near.in_row(row);
            }
        }
        kin.into_iter().filter(|&(_, members)| members > 0).collect()
    }

    /// What the preferred groups have against a row.
    fn unmet(&self, row: Row) -> u32 {
        let unmet = |near: &Near<'_>| {
            let members = near.members(self.inventory, row);
            match near.tie.kind {
                // Each counts: what cannot be apart is spread evenly.
                AffinityKind::AntiAffinity => members,
                AffinityKind::Affinity => u32::from(members == 0 && near.is_placed),
            }
        };
        self.preferred().map(unmet).fold(0, u32::saturating_add)
    }

    /// What the preferred groups have against a row that is not near any member.
    fn unmet_far_away(&self) -> u32 {
        let far = |near: &&Near<'_>| near.tie.kind == AffinityKind::Affinity && near.is_placed;
        self.preferred().filter(far).count() as u32
    }
}

impl<'a> Near<'a> {
    fn of(inventory: &'a Inventory, ask: &Ask, tie: &'a AffinityTie) -> Self {
        let ending = ask
            .ending
            .filter(|&run| inventory.members.groups(run).contains(&tie.group))
            .and_then(|run| inventory.host_row(inventory.run(run)?.host));
        let mut near = Self {
            tie,
            by_row: inventory.members.of(tie.group),
            ending,
            by_pod: HashMap::new(),
            is_placed: false,
        };
        for &row in near.by_row.iter().flat_map(|rows| rows.keys()) {
            let members = near.in_row(row);
            near.is_placed |= members > 0;
            if tie.level == AffinityLevel::Pod
                && members > 0
                && let Some(host) = inventory.host(row)
            {
                *near.by_pod.entry(host.pod).or_default() += members;
            }
        }
        near
    }

    fn in_row(&self, row: Row) -> u32 {
        let members = self.by_row.and_then(|rows| rows.get(&row)).copied().unwrap_or(0);
        members.saturating_sub(u32::from(self.ending == Some(row)))
    }

    /// Members on the compute host or in the pod of a row.
    fn members(&self, inventory: &Inventory, row: Row) -> u32 {
        match self.tie.level {
            AffinityLevel::ComputeHost => self.in_row(row),
            AffinityLevel::Pod => {
                let pod = inventory.host(row).map(|host| host.pod);
                pod.and_then(|pod| self.by_pod.get(&pod)).copied().unwrap_or(0)
            }
        }
    }

    /// Rows that are near a member.
    fn rows(&self, inventory: &Inventory) -> Vec<Row> {
        match self.tie.level {
            AffinityLevel::ComputeHost => {
                let rows = self.by_row.into_iter().flat_map(|rows| rows.keys().copied());
                rows.filter(|&row| self.in_row(row) > 0).collect()
            }
            AffinityLevel::Pod if self.by_pod.is_empty() => Vec::new(),
            AffinityLevel::Pod => (0..inventory.hosts.len())
                .filter(|&row| self.members(inventory, row) > 0)
                .collect(),
        }
    }
}

/// The tiers of one ask: most rows are in one that is not listed.
#[derive(Debug, Default)]
pub(crate) struct Tiers {
    /// Of rows that are in none of the others.
    common: Tier,
    of_row: HashMap<Row, Tier>,
    /// Rows of the other tiers.
    others: BTreeMap<Tier, Vec<Row>>,
    listed: RowMask,
}

impl Tiers {
    pub(crate) fn of(inventory: &Inventory, ask: &Ask, ties: &Ties<'_>) -> Self {
        let tenant = inventory.hosts.tenant(ask.project);
        let mut rows: BTreeSet<Row> = BTreeSet::new();
        for near in ties.preferred() {
            rows.extend(near.rows(inventory));
        }
        if let Some(tenant) = tenant {
            rows.extend(inventory.hosts.rows_of_tenant(tenant));
        }
        let mut tiers = Self {
            common: Tier {
                shared: tenant.is_some(),
                unmet: ties.unmet_far_away(),
            },
            ..Self::default()
        };
        for row in rows {
            let tier = Tier {
                shared: is_shared(inventory, tenant, row),
                unmet: ties.unmet(row),
            };
            if tier != tiers.common {
                tiers.of_row.insert(row, tier);
                tiers.others.entry(tier).or_default().push(row);
                tiers.listed.insert(row);
            }
        }
        tiers
    }

    pub(crate) fn tier(&self, row: Row) -> Tier {
        self.of_row.get(&row).copied().unwrap_or(self.common)
    }

    /// The best `count` that are not among `skipped`, best first: a lower tier before a higher one, then as standings have it.
    pub(crate) fn best(
        &self,
        standings: &Standings,
        around: Around,
        count: usize,
        skipped: &RowMask,
    ) -> Vec<Standing> {
        if self.others.is_empty() {
            return standings.best(around, count, skipped);
        }
        let mut best = Vec::new();
        let (before, after): (Vec<_>, Vec<_>) =
            self.others.iter().partition(|&(&tier, _)| tier < self.common);
        let listed = |best: &mut Vec<Standing>, tiers: Vec<(&Tier, &Vec<Row>)>| {
            for (_, rows) in tiers {
                let wanted = count.saturating_sub(best.len());
                best.extend(standings.best_of(rows, around, wanted, skipped));
            }
        };
        listed(&mut best, before);
        if best.len() < count {
            let mut others = skipped.clone();
            others.add(&self.listed);
            best.extend(standings.best(around, count - best.len(), &others));
        }
        listed(&mut best, after);
        best
    }
}

fn is_shared(inventory: &Inventory, tenant: Option<ProjectId>, row: Row) -> bool {
    tenant.is_some() && inventory.hosts.tenant_of(row) != tenant
}
