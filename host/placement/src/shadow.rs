//! A policy that sees an ask and decides nothing: the ask is taken out of the inventory at the moment at which it is
//! decided, and judged later, elsewhere, by whoever has the time.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use velum_model::{
    decision::{Refusal, Tier},
    id::ComputeHostId,
    port::placement::{PlacementPolicy, PolicyAsk, PolicyDescriptor, PolicyFailure, registry},
};

use crate::{
    ask::Ask,
    choose::Outcome,
    filter::filter,
    inventory::Inventory,
    ranker::{Question, facts, sample},
    row::{Around, Row},
};

/// How many of the policy's best are compared pair by pair.
const TOP: usize = 16;

/// An ask as a shadow is shown it, with what the policy said.
#[derive(Clone, Debug, PartialEq)]
pub struct ShadowAsk {
    epoch: u64,
    count: u32,
    /// Column-major over all rows of the inventory.
    values: Vec<u32>,
    ask: PolicyAsk,
    /// The candidates, or a sample of them.
    rows: Vec<Row>,
    hosts: Vec<ComputeHostId>,
    /// What comes before any score, of each.
    tiers: Vec<Tier>,
    seed: u64,
    winner: Option<ComputeHostId>,
    /// The policy's best, in its order.
    best: Vec<ComputeHostId>,
    /// What the policy itself refused.
    refused: HashSet<ComputeHostId>,
    /// What had no pool when its turn came: not the shadow's to choose either.
    without_storage: HashSet<ComputeHostId>,
}

/// A tier, a score in it, the place among equals, and whose it is: the greatest is the best.
type Placed = (Reverse<Tier>, u32, Reverse<u32>, ComputeHostId);

/// How a shadow's answer compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Both would choose the same compute host, or none.
    pub same_winner: bool,
    /// Pairs among the policy's best 16, in thousandths, that the shadow puts in the same order; none with fewer than two.
    pub rank_permille: Option<u32>,
    /// Compute hosts that the shadow refuses and the policy does not.
    pub refusals_added: u32,
    /// It refuses everything that the policy ranked.
    pub refused_all: bool,
}

impl ShadowAsk {
    /// Takes an ask out of the inventory, as it was when `outcome` was decided, which tells what was turned down; `wants` is
    /// what the shadow describes.
    #[must_use]
    pub fn take(
        inventory: &Inventory,
        ask: &Ask,
        seed: u64,
        outcome: &Outcome,
        wants: &PolicyDescriptor,
    ) -> Self {
        let kind = registry::ROW_COMPUTE_HOST;
        let count = inventory.rows(kind);
        let all: Vec<Row> = (0..count).collect();
        let question = Question::Hosts(ask);
        let candidates: Vec<Row> = filter(inventory, ask).candidates.rows().collect();
        let rows = sample(inventory, question, seed, &candidates, wants.max_rows);
        let tiers = question.tiers(inventory);
        let tiers = rows.iter().map(|&row| tiers.tier(row)).collect();
        let hosts = rows
            .iter()
            .filter_map(|&row| inventory.host(row).map(|host| host.id))
            .collect();
        let refused_for = |fits: fn(&Refusal) -> bool| -> HashSet<ComputeHostId> {
            let those = outcome.turned_down.iter().filter(|(_, refusal)| fits(refusal));
            those.map(|(host, _)| *host).collect()
        };
        Self {
            epoch: inventory.epoch(),
            count,
            values: inventory.values(kind, &wants.columns, &all),
            ask: PolicyAsk {
                demand: question.demands(wants),
                attrs: question.attrs(wants),
                facts: facts(inventory, question, wants, &rows),
                seed: if wants.row_local { 0 } else { seed },
            },
            hosts,
            tiers,
            rows,
            seed,
            winner: outcome.winner.map(|winner| winner.compute_host),
            best: outcome
                .winner
                .iter()
                .chain(&outcome.runners_up)
                .take(TOP)
                .map(|ranked| ranked.compute_host)
                .collect(),
            refused: refused_for(|refusal| matches!(refusal, Refusal::Policy { .. })),
            without_storage: refused_for(|refusal| *refusal == Refusal::StorageSpace),
        }
    }

    /// About how many bytes it takes until it is judged.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let facts: usize = self.ask.facts.iter().map(|fact| fact.rows.len()).sum();
        self.values.len() * 4
            + self.rows.len() * 28
            + facts * 8
            + (self.refused.len() + self.without_storage.len()) * 32
    }

    /// Shows it to an instance: afterwards that holds the inventory of the ask.
    ///
    /// # Errors
    /// [`PolicyFailure`]; the instance must then be dropped.
    pub fn show(&self, policy: &mut dyn PlacementPolicy) -> Result<(), PolicyFailure> {
        policy.load(self.epoch, self.count, &self.values)
    }

    /// Lets the instance that was shown it answer, and compares.
    ///
    /// # Errors
    /// [`PolicyFailure`]; the instance must then be dropped.
    pub fn judge(&self, policy: &mut dyn PlacementPolicy) -> Result<Comparison, PolicyFailure> {
        if self.rows.is_empty() {
            return Ok(self.compare(&[]));
        }
        let scores = policy.score(self.epoch, &self.ask, &self.rows)?;
        if scores.len() != self.rows.len() {
            let problem = format!("{} scores for {} rows", scores.len(), self.rows.len());
            return Err(PolicyFailure::Nonsense(problem));
        }
        Ok(self.compare(&scores))
    }

    fn compare(&self, scores: &[u32]) -> Comparison {
        let around = Around::of(self.seed, self.count);
        let mut order: Vec<Placed> = Vec::with_capacity(scores.len());
        let mut refusals_added = 0;
        let rows = self.hosts.iter().zip(&self.rows).zip(&self.tiers);
        for (((&host, &row), &tier), &score) in rows.zip(scores) {
            if score >= registry::REFUSE {
                refusals_added += u32::from(!self.refused.contains(&host));
            } else if !self.without_storage.contains(&host) {
                order.push((Reverse(tier), score, Reverse(around.place(row)), host));
            }
        }
        order.sort_unstable_by(|one, other| other.cmp(one));
        Comparison {
            same_winner: order.first().map(|best| best.3) == self.winner,
            rank_permille: self.agreement(&order),
            refusals_added,
            refused_all: order.is_empty() && self.winner.is_some(),
        }
    }

    /// Of all pairs of the policy's best, how many the shadow orders the same; what it refuses stands behind all else.
    fn agreement(&self, order: &[Placed]) -> Option<u32> {
        let places: HashMap<ComputeHostId, usize> = order
            .iter()
            .enumerate()
            .map(|(place, of)| (of.3, place))
            .collect();
        let place = |host: &ComputeHostId| places.get(host).copied().unwrap_or(usize::MAX);
        let (mut pairs, mut same) = (0_u32, 0_u32);
        for (n, first) in self.best.iter().enumerate() {
            for second in self.best.iter().skip(n + 1) {
                pairs += 1;
                same += u32::from(place(first) < place(second));
            }
        }
        (same * 1000).checked_div(pairs)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use velum_model::Id;

    use super::*;

    fn host(n: u128) -> ComputeHostId {
        Id::from_uuid(Uuid::from_u128(n))
    }

    fn asked(best: &[u128], refused: &[u128], without_storage: &[u128]) -> ShadowAsk {
        ShadowAsk {
            epoch: 1,
            count: 4,
            values: Vec::new(),
            ask: PolicyAsk::default(),
            rows: (0..4).collect(),
            hosts: (0..4).map(host).collect(),
            tiers: vec![Tier::default(); 4],
            seed: 7,
            winner: best.first().copied().map(host),
            best: best.iter().copied().map(host).collect(),
            refused: refused.iter().copied().map(host).collect(),
            without_storage: without_storage.iter().copied().map(host).collect(),
        }
    }

    #[test]
    fn the_same_order_agrees_in_all_pairs_and_the_reverse_in_none() {
        let ask = asked(&[0, 1, 2, 3], &[], &[]);
        let same = ask.compare(&[9, 8, 7, 6]);
        assert_eq!((same.same_winner, same.rank_permille), (true, Some(1000)));
        let reverse = ask.compare(&[6, 7, 8, 9]);
        assert_eq!((reverse.same_winner, reverse.rank_permille), (false, Some(0)));
        let swapped = ask.compare(&[9, 7, 8, 6]);
        assert_eq!((swapped.same_winner, swapped.rank_permille), (true, Some(833)));
    }

    #[test]
    fn what_the_shadow_refuses_is_counted_unless_the_policy_refused_it_too() {
        let ask = asked(&[1, 2], &[0], &[]);
        let answer = ask.compare(&[registry::REFUSE, registry::REFUSE | 3, 5, registry::REFUSE]);
        assert_eq!(answer.refusals_added, 2);
        assert!(!answer.same_winner && !answer.refused_all);
        let none = ask.compare(&[registry::REFUSE; 4]);
        assert!(none.refused_all && !none.same_winner);
    }

    #[test]
    fn what_had_no_pool_is_not_the_shadows_winner_either() {
        let ask = asked(&[1, 2], &[], &[0]);
        assert!(ask.compare(&[9, 5, 4, 3]).same_winner);
        let nowhere = asked(&[], &[], &[]);
        assert!(nowhere.compare(&[registry::REFUSE; 4]).same_winner);
        assert_eq!(nowhere.compare(&[]).rank_permille, None);
    }
}
