//! What the affinity groups of an ask say of rows: which they refuse, and which they would rather have.

use std::collections::{BTreeMap, HashMap};

use velum_model::{
    affinity::{AffinityKind, AffinityLevel, AffinityStrength, AffinityTie},
    decision::{Refusal, Tier},
    id::PodId,
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

/// The tiers of one ask. Rows that are near no member of a preferred group are not listed: all that are kept for the project are in one
/// tier, and all others in another.
#[derive(Debug, Default)]
pub(crate) struct Tiers<'a> {
    /// Rows that are kept for the project, if any are.
    own: Option<&'a RowMask>,
    /// What the preferred groups have against rows that are not listed.
    unmet: u32,
    of_row: HashMap<Row, Tier>,
    /// The listed rows, by tier.
    others: BTreeMap<Tier, Vec<Row>>,
    listed: RowMask,
}

impl<'a> Tiers<'a> {
    pub(crate) fn of(inventory: &'a Inventory, ask: &Ask, ties: &Ties<'_>) -> Self {
        let mut rows: Vec<Row> = ties.preferred().flat_map(|near| near.rows(inventory)).collect();
        rows.sort_unstable();
        rows.dedup();
        let mut tiers = Self {
            own: inventory.hosts.rows_of_tenant(ask.project),
            unmet: ties.unmet_far_away(),
            ..Self::default()
        };
        for row in rows {
            let tier = Tier {
                unmet: ties.unmet(row),
                ..tiers.tier(row)
            };
            if tier.unmet != tiers.unmet {
                tiers.of_row.insert(row, tier);
                tiers.others.entry(tier).or_default().push(row);
                tiers.listed.insert(row);
            }
        }
        tiers
    }

    pub(crate) fn tier(&self, row: Row) -> Tier {
        let unlisted = || Tier {
            shared: self.own.is_some_and(|own| !own.contains(row)),
            unmet: self.unmet,
        };
        self.of_row.get(&row).copied().unwrap_or_else(unlisted)
    }

    /// The best `count` that are not among `skipped`, best first: a lower tier before a higher one, then as standings have it.
    pub(crate) fn best(
        &self,
        standings: &Standings,
        around: Around,
        count: usize,
        skipped: &RowMask,
    ) -> Vec<Standing> {
        if self.others.is_empty() && self.own.is_none() {
            return standings.best(around, count, skipped);
        }
        let mut tiers: BTreeMap<Tier, Option<&[Row]>> = BTreeMap::new();
        for shared in [false, true]
            .into_iter()
            .take(1 + usize::from(self.own.is_some()))
        {
            let unmet = self.unmet;
            tiers.insert(Tier { shared, unmet }, None);
        }
        tiers.extend(
            self.others
                .iter()
                .map(|(&tier, rows)| (tier, Some(rows.as_slice()))),
        );
        let mut best = Vec::new();
        for (tier, listed) in tiers {
            let wanted = count.saturating_sub(best.len());
            if wanted == 0 {
                break;
            }
            best.extend(match listed {
                Some(rows) => standings.best_of(rows, around, wanted, skipped),
                None => standings.best(around, wanted, &self.not_in(tier, around.rows(), skipped)),
            });
        }
        best
    }

    /// Rows that are skipped, listed, or not in a tier of rows that are not listed.
    fn not_in(&self, tier: Tier, rows: u32, skipped: &RowMask) -> RowMask {
        let mut others = match (self.own, tier.shared) {
            (Some(own), true) => own.clone(),
            (Some(own), false) => own.others(rows),
            (None, _) => RowMask::default(),
        };
        others.add(skipped);
        others.add(&self.listed);
        others
    }
}
