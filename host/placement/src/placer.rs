//! What is kept between asks of one shape: which rows the filters leave, and what a policy that judges row by row says of them. An ask
//! then costs what has changed since the last one like it, not what the zone has.

use std::collections::{BTreeMap, HashMap};

use velum_model::{
    decision::{PolicyUsed, Refusal},
    id::PolicyId,
    plugin::Digest,
    port::placement::registry::REFUSE,
};

use crate::{
    ask::Ask,
    candidates::{Candidates, Moved},
    inventory::Inventory,
    ranker::{Question, Ranker, Verdict},
    row::{Row, RowMask},
    standings::Standings,
};

/// Rows kept over all shapes: 6 bytes each, and more for those that a policy refuses.
const ROWS_KEPT: usize = 4 << 20;
/// Shapes kept of the largest zone: as many compute offerings as most clouds have.
const SHAPES_AT_LEAST: usize = 16;
/// Shapes kept of a small one: they are searched one after the other.
const SHAPES_AT_MOST: usize = 256;

/// Decides for one zone, and keeps what the next ask of the same shape needs again.
///
/// It belongs to one [`Inventory`] and follows it by epochs: it must see every inventory that it is given come out of the one before.
#[derive(Default)]
pub struct Placer {
    kept: Vec<Kept>,
    /// Counts asks: who was wanted last.
    asks: u64,
}

/// What an outcome tells beside the choice, each at the cost of the rows in question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The first refusals one by one, even in a large zone and though there is a choice.
    pub refusals: bool,
    /// What the policy refused: a shadow wants it.
    pub turned_down: bool,
}

impl Wanted {
    /// Everything.
    pub const ALL: Self = Self {
        refusals: true,
        turned_down: true,
    };
    /// What costs nothing.
    pub const LEAST: Self = Self {
        refusals: false,
        turned_down: false,
    };
}

/// Whose scores are kept: another configuration is another generation.
type Version = (Option<PolicyId>, u64, Option<Digest>);

/// What is kept for one shape and, if its scores stay, one policy.
pub(crate) struct Kept {
    pub(crate) candidates: Candidates,
    /// Rows of which the policy is to be asked again.
    moved: Moved,
    said: Said,
    /// What the policy was told for it beside the shape.
    attrs: Vec<(u16, u32)>,
    /// None when its scores do not stay.
    version: Option<Version>,
    wanted_at: u64,
}

/// What a policy said of rows.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) standings: Standings,
    /// Rows that it refused, by code.
    codes: HashMap<Row, u16>,
    counts: BTreeMap<u16, u32>,
    /// Its codes in words.
    words: Vec<(u16, String)>,
}

/// What was said of the candidates of one ask.
pub(crate) struct Ranked {
    pub(crate) used: PolicyUsed,
    pub(crate) fuel: u64,
    /// How many rows were shown to the policy, when it was not all.
    pub(crate) sampled: Option<u32>,
    /// What was said for this ask alone; none = what is kept.
    own: Option<Said>,
}

impl Placer {
    /// What is kept for asks like this one, with its candidates as they are now; made if there is nothing.
    pub(crate) fn take(&mut self, inventory: &Inventory, ask: &Ask, ranker: &Ranker) -> Kept {
        self.asks += 1;
        let label = ranker.label();
        let version = ranker
            .scores_stay()
            .then(|| (label.policy, label.generation, label.digest.clone()));
        let is_it = |kept: &Kept| kept.version == version && kept.candidates.are_for(inventory, ask);
        match self.kept.iter().position(is_it) {
            Some(at) => {
                let mut kept = self.kept.swap_remove(at);
                kept.wanted_at = self.asks;
                kept.moved = kept.candidates.catch_up(inventory);
                let attrs = ranker.attrs(ask);
                if kept.attrs != attrs {
                    // Told something else, the policy may say something else of every row; what the filters say stays.
                    kept.moved = Moved::All;
                    kept.attrs = attrs;
                }
                kept
            }
            None => Kept {
                candidates: Candidates::of(inventory, ask),
                moved: Moved::All,
                said: Said::default(),
                attrs: ranker.attrs(ask),
                version,
                wanted_at: self.asks,
            },
        }
    }

    /// Keeps it for the next ask; what nobody wanted for the longest time makes room.
    pub(crate) fn put(&mut self, kept: Kept) {
        // A policy that fails now and then leaves what is kept without its scores, as another did before.
        self.kept
            .retain(|other| other.version != kept.version || !other.candidates.are_like(&kept.candidates));
        let rows = kept.candidates.rows_in_all().max(1) as usize;
        let shapes = (ROWS_KEPT / rows).clamp(SHAPES_AT_LEAST, SHAPES_AT_MOST);
        while self.kept.len() >= shapes {
            let oldest = self
                .kept
                .iter()
                .enumerate()
                .min_by_key(|(_, kept)| kept.wanted_at);
            let Some((oldest, _)) = oldest else { break };
            self.kept.swap_remove(oldest);
        }
        self.kept.push(kept);
    }
}

impl Kept {
    /// Asks the policy for what it did not say yet. Rows in `tied` are no candidates of this very ask.
    pub(crate) fn rank(
        &mut self,
        inventory: &Inventory,
        ask: &Ask,
        seed: u64,
        ranker: &mut Ranker,
        tied: &RowMask,
    ) -> Ranked {
        let mut used = ranker.used();
        if self.version.is_some() {
            match self.rank_what_moved(inventory, ask, seed, ranker) {
                Ok((used, fuel)) => {
                    return Ranked {
                        used,
                        fuel,
                        sampled: None,
                        own: None,
                    };
                }
                Err(failed) => used = *failed,
            }
            // It failed; what it said before is not worth more. From here on its fallback speaks, each time for the whole ask.
            self.version = None;
            self.said = Said::default();
        }
        let rows: Vec<Row> = self
            .candidates
            .rows()
            .filter(|&row| !tied.contains(row))
            .collect();
        if rows.is_empty() {
            return Ranked {
                used,
                fuel: 0,
                sampled: None,
                own: Some(Said::default()),
            };
        }
        let verdict = ranker.rank(inventory, Question::Hosts(ask), seed, &rows);
        let mut said = Said {
            standings: Standings::none(self.candidates.rows_in_all()),
            ..Said::default()
        };
        said.note(&verdict);
        Ranked {
            sampled: verdict.sampled.then_some(verdict.rows.len() as u32),
            used: verdict.used,
            fuel: verdict.fuel,
            own: Some(said),
        }
    }

    /// # Errors
    /// The policy failed.
    fn rank_what_moved(
        &mut self,
        inventory: &Inventory,
        ask: &Ask,
        seed: u64,
        ranker: &mut Ranker,
    ) -> Result<(PolicyUsed, u64), Box<PolicyUsed>> {
        let rows: Vec<Row> = match std::mem::replace(&mut self.moved, Moved::Rows(Vec::new())) {
            Moved::All => {
                self.said = Said::default();
                self.candidates.rows().collect()
            }
            Moved::Rows(rows) => {
                rows.iter().for_each(|&row| self.said.forget(row));
                rows.into_iter().filter(|&row| self.candidates.has(row)).collect()
            }
        };
        self.said.standings.grow(self.candidates.rows_in_all());
        if rows.is_empty() {
            return Ok((ranker.used(), 0));
        }
        let verdict = ranker.rank(inventory, Question::Hosts(ask), seed, &rows);
        if verdict.used.failed.is_some() {
            return Err(Box::new(verdict.used));
        }
        self.said.note(&verdict);
        Ok((verdict.used, verdict.fuel))
    }

    /// What was said, for this ask.
    pub(crate) fn said<'a>(&'a self, ranked: &'a Ranked) -> &'a Said {
        ranked.own.as_ref().unwrap_or(&self.said)
    }
}

impl Said {
    fn forget(&mut self, row: Row) {
        self.standings.set(row, None);
        if let Some(code) = self.codes.remove(&row)
            && let Some(count) = self.counts.get_mut(&code)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&code);
            }
        }
    }

    /// Of rows of which nothing is known.
    fn note(&mut self, verdict: &Verdict) {
        for (&row, &score) in verdict.rows.iter().zip(&verdict.scores) {
            if score < REFUSE {
                self.standings.set(row, Some(score));
                continue;
            }
            let code = (score & 0xffff) as u16;
            self.codes.insert(row, code);
            *self.counts.entry(code).or_default() += 1;
        }
        self.words.clone_from(&verdict.refusals);
    }

    /// The refusal of a row by the policy.
    pub(crate) fn refusal(&self, row: Row) -> Option<Refusal> {
        self.codes.get(&row).map(|&code| self.in_words(code))
    }

    /// Rows that the policy refused, ascending.
    pub(crate) fn refused_rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.codes.keys().copied().collect();
        rows.sort_unstable();
        rows
    }

    /// How many rows the policy refused, by refusal.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (Refusal, u32)> {
        self.counts
            .iter()
            .map(|(&code, &count)| (self.in_words(code), count))
    }

    fn in_words(&self, code: u16) -> Refusal {
        let known = self.words.iter().find(|(known, _)| *known == code);
        Refusal::Policy {
            code,
            words: known.map(|(_, words)| words.clone()).unwrap_or_default(),
        }
    }
}
