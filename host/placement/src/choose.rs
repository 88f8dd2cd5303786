//! From candidates to a choice: the policy scores, the server chooses.

use std::cmp::Reverse;

use velum_model::{
    decision::{PolicyUsed, RUNNERS_UP, Ranked, Refusal},
    id::{ComputeHostId, StoragePoolId},
    port::placement::registry::REFUSE,
};

use crate::{
    ask::{Ask, DiskAsk},
    filter::{filter, pools_anywhere, pools_for},
    inventory::Inventory,
    ranker::{Question, Ranker, Verdict},
    row::{Row, mix},
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
    /// Rows that the filters left, ascending: what was ranked.
    pub candidates: Vec<Row>,
    /// Every refused compute host with its reason, in row order.
    pub refused: Vec<(ComputeHostId, Refusal)>,
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

/// A scored row; the greatest is the best. Equal scores are told apart by a hash of seed and id, equal hashes by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    score: u32,
    tie: u64,
    id: u128,
    row: Reverse<Row>,
}

/// Finds the compute host and the pools for an ask. Claims nothing.
#[must_use]
pub fn choose(
    inventory: &Inventory,
    ask: &Ask,
    seed: u64,
    hosts: &mut Ranker,
    pools: &mut Ranker,
) -> Outcome {
    let filtered = filter(inventory, ask);
    let candidates: Vec<Row> = filtered.candidates.rows().collect();
    let mut outcome = Outcome {
        choice: None,
        winner: None,
        runners_up: Vec::new(),
        considered: filtered.considered,
        candidates: Vec::new(),
        refused: Vec::new(),
        policy: hosts.used(),
        pool_policy: pools.used(),
        sampled: None,
        fuel: 0,
    };
    let mut refused = filtered.refused;
    if !candidates.is_empty() {
        let verdict = hosts.rank(inventory, Question::Hosts(ask), seed, &candidates);
        outcome.policy = verdict.used.clone();
        outcome.fuel = verdict.fuel;
        outcome.sampled = verdict.sampled.then_some(verdict.rows.len() as u32);
        let standings = standings(inventory, seed, &verdict, &mut refused);
        let mut contest = Contest {
            inventory,
            ask,
            seed,
            pools,
        };
        contest.settle(standings, &mut outcome, &mut refused);
    }
    outcome.candidates = candidates;
    refused.sort_by_key(|&(row, _)| row);
    outcome.refused = name_rows(inventory, refused);
    outcome
}

fn name_rows(inventory: &Inventory, refused: Vec<(Row, Refusal)>) -> Vec<(ComputeHostId, Refusal)> {
    refused
        .into_iter()
        .filter_map(|(row, refusal)| Some((inventory.host(row)?.id, refusal)))
        .collect()
}

/// Ranked rows, in no order; what the policy refused goes to the refusals.
fn standings(
    inventory: &Inventory,
    seed: u64,
    verdict: &Verdict,
    refused: &mut Vec<(Row, Refusal)>,
) -> Vec<Standing> {
    let mut standings = Vec::with_capacity(verdict.rows.len());
    for (&row, &score) in verdict.rows.iter().zip(&verdict.scores) {
        if score >= REFUSE {
            refused.push((row, policy_refusal(verdict, score)));
        } else if let Some(host) = inventory.host(row) {
            let id = host.id.uuid().as_u128();
            standings.push(Standing {
                score,
                tie: mix(seed, id),
                id,
                row: Reverse(row),
            });
        }
    }
    standings
}

fn policy_refusal(verdict: &Verdict, score: u32) -> Refusal {
    let code = (score & 0xffff) as u16;
    let words = verdict
        .refusals
        .iter()
        .find(|(known, _)| *known == code)
        .map(|(_, words)| words.clone());
    Refusal::Policy {
        code,
        words: words.unwrap_or_default(),
    }
}

/// One ask on its way through the candidates.
struct Contest<'a> {
    inventory: &'a Inventory,
    ask: &'a Ask,
    seed: u64,
    pools: &'a mut Ranker,
}

impl Contest<'_> {
    /// Goes through the candidates from the best on, until one has a pool for every disk.
    fn settle(
        &mut self,
        mut standings: Vec<Standing>,
        outcome: &mut Outcome,
        refused: &mut Vec<(Row, Refusal)>,
    ) {
        // The winner and the runners-up are wanted in order, the rest is not: a selection in linear time does.
        let wanted = RUNNERS_UP + 1;
        let mut ordered = take_best(&mut standings, wanted);
        while let Some(best) = ordered.first().copied() {
            let Some(host) = self.inventory.host(best.row.0) else {
                break;
            };
            if let Some(pools) = self.assign_pools(host, outcome) {
                let others = ordered.iter().skip(1).take(RUNNERS_UP);
                outcome.runners_up = others
                    .filter_map(|other| Some(ranked(self.inventory.host(other.row.0)?.id, other.score)))
                    .collect();
                outcome.winner = Some(ranked(host.id, best.score));
                outcome.choice = Some(Choice { host: host.id, pools });
                return;
            }
            refused.push((best.row.0, Refusal::StorageSpace));
            ordered.remove(0);
            if ordered.len() < wanted {
                ordered.extend(take_best(&mut standings, wanted));
            }
        }
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

const fn ranked(compute_host: ComputeHostId, score: u32) -> Ranked {
    Ranked { compute_host, score }
}

/// Takes the best `count` out, best first.
fn take_best(standings: &mut Vec<Standing>, count: usize) -> Vec<Standing> {
    if standings.len() > count {
        standings.select_nth_unstable_by(count - 1, |one, other| other.cmp(one));
    }
    let rest = standings.split_off(count.min(standings.len()));
    let mut best = std::mem::replace(standings, rest);
    best.sort_unstable_by(|one, other| other.cmp(one));
    best
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_come_first_and_the_rest_stays() {
        let standing = |score: u32| Standing {
            score,
            tie: 0,
            id: 0,
            row: Reverse(score),
        };
        let mut all: Vec<Standing> = [5, 1, 9, 3, 7].map(standing).to_vec();
        let scores = |of: &[Standing]| of.iter().map(|s| s.score).collect::<Vec<_>>();
        assert_eq!(scores(&take_best(&mut all, 2)), [9, 7]);
        assert_eq!(scores(&take_best(&mut all, 2)), [5, 3]);
        assert_eq!(scores(&take_best(&mut all, 2)), [1]);
        assert!(take_best(&mut all, 2).is_empty());
    }
}
