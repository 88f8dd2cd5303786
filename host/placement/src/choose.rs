//! From candidates to a choice: the policy scores, the server chooses.

use std::collections::BTreeMap;

use velum_model::{
    decision::{PolicyUsed, REFUSALS_LISTED, RUNNERS_UP, Ranked, Refusal},
    id::{ComputeHostId, StoragePoolId},
    port::placement::registry::REFUSE,
};

use crate::{
    ask::{Ask, DiskAsk},
    candidates::Candidates,
    filter::{by_ties, pools_anywhere, pools_for},
    inventory::Inventory,
    placer::{Placer, Said, Wanted},
    ranker::{Question, Ranker},
    row::{Around, Row, RowMask, mix},
    standings::{Standing, Standings},
    ties::{Tiers, Ties},
    update::HostRow,
};

/// Where a disk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolChoice {
    /// The pool.
    pub pool: StoragePoolId,
    /// Its size there, rounded as the pool wants.
    pub bytes: u64,
    /// Bytes of the layer that the pool does not have yet.
    pub layer_bytes: Option<u64>,
}

/// Where a machine goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The compute host.
    pub host: ComputeHostId,
    /// A pool for each disk asked.
    pub pools: Vec<PoolChoice>,
}

/// What came of an ask.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Where it goes; none = nowhere.
    pub choice: Option<Choice>,
    /// Who won.
    pub winner: Option<Ranked>,
    /// The others, best first.
    pub runners_up: Vec<Ranked>,
    /// Compute hosts looked at.
    pub considered: u32,
    /// How many were ranked: the filters left them, and nothing tied the instance elsewhere.
    pub candidates: u32,
    /// How many compute hosts were refused for each reason.
    pub refused: Vec<(Refusal, u32)>,
    /// The first [`REFUSALS_LISTED`] refused compute hosts in row order, if they were wanted.
    pub refusals: Vec<(ComputeHostId, Refusal)>,
    /// Compute hosts that the filters left and that were refused then, in row order, if they were wanted.
    pub turned_down: Vec<(ComputeHostId, Refusal)>,
    /// Who ranked the hosts.
    pub policy: PolicyUsed,
    /// Who ranked the pools.
    pub pool_policy: PolicyUsed,
    /// How many candidates the policy saw, when it was not all.
    pub sampled: Option<u32>,
    /// Fuel of both.
    pub fuel: u64,
}

/// What came of an ask for a volume alone.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolOutcome {
    /// Where it goes; none = nowhere.
    pub choice: Option<PoolChoice>,
    /// Every refused pool with its reason.
    pub refused: Vec<(StoragePoolId, Refusal)>,
    /// Who ranked.
    pub policy: PolicyUsed,
    /// Its fuel.
    pub fuel: u64,
}

/// Finds the compute host and the pools for an ask, and keeps nothing. Claims nothing.
#[must_use]
pub fn choose(
    inventory: &Inventory,
    ask: &Ask,
    seed: u64,
    hosts: &mut Ranker,
    pools: &mut Ranker,
) -> Outcome {
    Placer::default().choose(inventory, ask, seed, (hosts, pools), Wanted::ALL)
}

impl Placer {
    /// Finds the compute host and the pools for an ask, from what was kept of asks like it. Claims nothing.
    #[must_use]
    pub fn choose(
        &mut self,
        inventory: &Inventory,
        ask: &Ask,
        seed: u64,
        (hosts, pools): (&mut Ranker, &mut Ranker),
        wanted: Wanted,
    ) -> Outcome {
        let mut kept = self.take(inventory, ask, hosts);
        let ties = Ties::of(inventory, ask);
        let mut turned = TurnedDown::by_ties(inventory, ask, &ties, &kept.candidates);
        let ranked = kept.rank(inventory, ask, seed, hosts, &turned.rows);
        let candidates = kept.candidates.count() - turned.rows.count();
        let mut outcome = Outcome {
            choice: None,
            winner: None,
            runners_up: Vec::new(),
            considered: kept.candidates.considered(),
            candidates,
            refused: Vec::new(),
            refusals: Vec::new(),
            turned_down: Vec::new(),
            policy: ranked.used.clone(),
            pool_policy: pools.used(),
            sampled: ranked.sampled,
            fuel: ranked.fuel,
        };
        let said = kept.said(&ranked);
        let mut contest = Contest {
            inventory,
            ask,
            seed,
            pools,
            standings: &said.standings,
            tiers: Tiers::of(inventory, ask, &ties),
            around: Around::of(seed, inventory.hosts.len()),
        };
        contest.settle(&mut turned, &mut outcome);
        outcome.tell(inventory, &turned, (&kept.candidates, said), wanted);
        self.put(kept);
        outcome
    }
}

/// Rows that the filters left and that cannot have this ask all the same: a few, or nearly all.
#[derive(Default)]
struct TurnedDown {
    rows: RowMask,
    /// Of each row up to the last one of them: a place in `reasons`.
    why: Vec<u16>,
    /// What turns down. An ask has few groups.
    reasons: Vec<Refusal>,
}

impl TurnedDown {
    /// What ties this very instance to certain hosts, or keeps it from them.
    fn by_ties(inventory: &Inventory, ask: &Ask, ties: &Ties<'_>, candidates: &Candidates) -> Self {
        let mut turned = Self::default();
        let mut look_at = |row: Row| {
            let refusal = by_ties(inventory, ask, ties, row);
            if let Some(refusal) = refusal.filter(|_| candidates.has(row)) {
                turned.add(row, refusal);
            }
        };
        match ties.refusable().filter(|_| ask.pinned.is_empty()) {
            Some(rows) => {
                let excluded = ask.excluded.iter();
                let excluded = excluded.filter_map(|&host| inventory.host_row(host));
                excluded.chain(rows).for_each(&mut look_at);
            }
            None => candidates.rows().for_each(&mut look_at),
        }
        turned
    }

    fn add(&mut self, row: Row, refusal: Refusal) {
        self.rows.insert(row);
        let known = self.reasons.iter().position(|known| *known == refusal);
        let reason = known.unwrap_or_else(|| {
            self.reasons.push(refusal);
            self.reasons.len() - 1
        });
        if self.why.len() <= row as usize {
            self.why.resize(row as usize + 1, 0);
        }
        if let Some(why) = self.why.get_mut(row as usize) {
            *why = reason as u16;
        }
    }

    fn refusal(&self, row: Row) -> Option<&Refusal> {
        let reason = self.why.get(row as usize).filter(|_| self.rows.contains(row))?;
        self.reasons.get(usize::from(*reason))
    }
}

impl Outcome {
    /// Counts the refusals, and lists what is wanted of them.
    fn tell(
        &mut self,
        inventory: &Inventory,
        turned: &TurnedDown,
        (candidates, said): (&Candidates, &Said),
        wanted: Wanted,
    ) {
        let mut counts: BTreeMap<Refusal, u32> = BTreeMap::new();
        let filtered = candidates
            .refused()
            .map(|(refusal, count)| (refusal.clone(), count));
        for (refusal, count) in filtered.chain(said.refused()) {
            *counts.entry(refusal).or_default() += count;
        }
        let mut turned_for = vec![0; turned.reasons.len()];
        for row in turned.rows.rows() {
            let reason = turned.why.get(row as usize).copied().unwrap_or(0);
            if let Some(count) = turned_for.get_mut(usize::from(reason)) {
                *count += 1;
            }
            // What the policy thinks of a row that is out of the question does not matter.
            if let Some(count) = said.refusal(row).and_then(|refusal| counts.get_mut(&refusal)) {
                *count -= 1;
            }
        }
        for (refusal, count) in turned.reasons.iter().zip(turned_for) {
            *counts.entry(refusal.clone()).or_default() += count;
        }
        counts.retain(|_, count| *count > 0);
        self.refused = counts.into_iter().collect();

        let of = |row: Row| Some(inventory.host(row)?.id);
        if wanted.refusals || self.choice.is_none() || self.considered as usize <= REFUSALS_LISTED {
            let refusal = |row: Row| {
                let here = turned.refusal(row).or_else(|| candidates.refusal(row)).cloned();
                Some((of(row)?, here.or_else(|| said.refusal(row))?))
            };
            let rows = 0..candidates.rows_in_all();
            self.refusals = rows.filter_map(refusal).take(REFUSALS_LISTED).collect();
        }
        if wanted.turned_down {
            let mut rows = said.refused_rows();
            rows.extend(turned.rows.rows());
            rows.sort_unstable();
            rows.dedup();
            let refusal = |row: Row| {
                let here = turned.refusal(row).cloned();
                Some((of(row)?, here.or_else(|| said.refusal(row))?))
            };
            self.turned_down = rows.into_iter().filter_map(refusal).collect();
        }
    }
}

/// One ask on its way through the candidates.
struct Contest<'a> {
    inventory: &'a Inventory,
    ask: &'a Ask,
    seed: u64,
    pools: &'a mut Ranker,
    standings: &'a Standings,
    tiers: Tiers<'a>,
    around: Around,
}

impl Contest<'_> {
    /// Goes through the candidates from the best on, until one has a pool for every disk.
    fn settle(&mut self, turned: &mut TurnedDown, outcome: &mut Outcome) {
        let mut wanted = RUNNERS_UP + 1;
        loop {
            let best = self.best(wanted, turned);
            for (at, standing) in best.iter().enumerate() {
                let Some(host) = self.inventory.host(standing.row) else {
                    continue;
                };
                if let Some(pools) = self.assign_pools(host, outcome) {
                    self.win(best.get(at..).unwrap_or_default(), turned, outcome);
                    outcome.choice = Some(Choice { host: host.id, pools });
                    return;
                }
                turned.add(standing.row, Refusal::StorageSpace);
            }
            if best.len() < wanted {
                return;
            }
            // Where two disks fit one by one and not together, it may go on for long.
            wanted *= 2;
        }
    }

    fn best(&self, count: usize, turned: &TurnedDown) -> Vec<Standing> {
        self.tiers.best(self.standings, self.around, count, &turned.rows)
    }

    /// The winner, and who would have won without it: `best` begins with the one and may have all others.
    fn win(&self, best: &[Standing], turned: &TurnedDown, outcome: &mut Outcome) {
        let ranked = |standing: &Standing| {
            Some(Ranked {
                compute_host: self.inventory.host(standing.row)?.id,
                score: standing.score,
                tier: self.tiers.tier(standing.row),
            })
        };
        let again;
        let best = if best.len() > RUNNERS_UP {
            best
        } else {
            again = self.best(RUNNERS_UP + 1, turned);
            &again
        };
        outcome.winner = best.first().and_then(ranked);
        outcome.runners_up = best.iter().skip(1).take(RUNNERS_UP).filter_map(ranked).collect();
    }

    /// A pool for every disk, one after another; what the first takes is missing to the next.
    fn assign_pools(&mut self, host: &HostRow, outcome: &mut Outcome) -> Option<Vec<PoolChoice>> {
        let inventory = self.inventory;
        let mut choices: Vec<PoolChoice> = Vec::with_capacity(self.ask.disks.len());
        for disk in &self.ask.disks {
            let taken = |row: Row| {
                let id = inventory.pool(row).map(|pool| pool.id);
                let on_it = choices.iter().filter(|choice| Some(choice.pool) == id);
                on_it.map(|c| c.bytes + c.layer_bytes.unwrap_or(0)).sum()
            };
            let rows = pools_for(inventory, host, disk, taken);
            let (choice, used, fuel) = best_pool(inventory, disk, self.seed, self.pools, &rows)?;
            if used.failed.is_some() || outcome.pool_policy.failed.is_none() {
                outcome.pool_policy = used;
            }
            outcome.fuel += fuel;
            choices.push(choice?);
        }
        Some(choices)
    }
}

/// The best of these pools; none without any.
fn best_pool(
    inventory: &Inventory,
    disk: &DiskAsk,
    seed: u64,
    ranker: &mut Ranker,
    rows: &[Row],
) -> Option<(Option<PoolChoice>, PolicyUsed, u64)> {
    if rows.is_empty() {
        return None;
    }
    let verdict = ranker.rank(inventory, Question::Pools(disk), seed, rows);
    let best = verdict
        .rows
        .iter()
        .zip(&verdict.scores)
        .filter(|&(_, &score)| score < REFUSE)
        .filter_map(|(&row, &score)| {
            let pool = inventory.pool(row)?;
            let id = pool.id.uuid().as_u128();
            Some(((score, mix(seed, id), id), pool))
        })
        .max_by_key(|&(standing, _)| standing);
    let choice = best.map(|(_, pool)| {
        let layer = disk
            .template
            .map(|of| inventory.pools.layer_need(pool.id, of.id, of.layer_bytes));
        PoolChoice {
            pool: pool.id,
            bytes: pool.size_of(disk.bytes),
            layer_bytes: layer.filter(|&bytes| bytes > 0),
        }
    });
    Some((choice, verdict.used, verdict.fuel))
}

/// Finds a pool for a volume that no compute host has yet. Claims nothing.
#[must_use]
pub fn choose_pool(inventory: &Inventory, disk: &DiskAsk, seed: u64, pools: &mut Ranker) -> PoolOutcome {
    let (rows, refused) = pools_anywhere(inventory, disk);
    let refused = refused
        .into_iter()
        .filter_map(|(row, refusal)| Some((inventory.pool(row)?.id, refusal)))
        .collect();
    let (choice, policy, fuel) =
        best_pool(inventory, disk, seed, pools, &rows).unwrap_or_else(|| (None, pools.used(), 0));
    PoolOutcome {
        choice,
        refused,
        policy,
        fuel,
    }
}
