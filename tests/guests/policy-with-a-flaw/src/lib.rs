//! A placement policy that keeps every rule of the conformance suite but the one that `flaw` of its configuration names.
//! Each flaw is what a case of `tests/conformance/placement-policy` must catch.
//!
//! What an author writes is [`Plain`]. The flaws lie below it, in what `export_policy!` keeps away from authors: they are
//! mistakes that a policy in another language, or without the SDK, would make.

use std::{cell::RefCell, hint::black_box};

use velum_guest::{
    bindings::policy::exports::velum::placement::policy as wit,
    placement::{Ask, Config, Declaration, Engine, Host, Policy, Score, code},
};

/// Its only refusal.
const TOO_SMALL: u16 = 3;
/// Scores and above are refusals.
const REFUSE: u32 = code::REFUSE;
/// The column of all vCPUs among those of [`Declaration::hosts`].
const TOTAL_VCPUS: usize = 2;
/// Memory that is never given back for a question.
const LEAK_BYTES: usize = 64 << 10;

/// The policy itself: free vCPUs by a weight, a little more where the template is.
struct Plain {
    weight: u32,
}

impl Policy for Plain {
    fn configure(json: &str) -> Result<Self, String> {
        let config = Config::parse(json)?;
        let weight = config.integer("weight", 0..=100, 50)?;
        config.text("flaw", "none")?;
        config.finish()?;
        Ok(Self {
            weight: u32::try_from(weight).unwrap_or(0),
        })
    }

    fn declare(&self) -> Declaration {
        Declaration::hosts()
            .fact(code::FACT_TEMPLATE_CACHED)
            .refusal(TOO_SMALL, "fewer vCPUs are free than are asked for")
    }

    fn score(&self, ask: &Ask, host: &Host<'_>) -> Score {
        if host.free_vcpus() < ask.vcpus() {
            return Score::refuse(TOO_SMALL);
        }
        let cached = host.fact(ask, code::FACT_TEMPLATE_CACHED);
        let free = host.free_vcpus().min(100_000);
        Score::of(free * self.weight + cached.min(100))
    }
}

/// What one instance holds: the policy, and a copy of the columns for flaws that need it.
struct Held {
    engine: Engine<Plain>,
    flaw: String,
    is_configured: bool,
    epoch: u64,
    rows: usize,
    values: Vec<u32>,
    calls: u32,
    largest_ask: u32,
}

impl Held {
    const fn new() -> Self {
        Self {
            engine: Engine::new(),
            flaw: String::new(),
            is_configured: false,
            epoch: 0,
            rows: 0,
            values: Vec::new(),
            calls: 0,
            largest_ask: 0,
        }
    }

    fn has(&self, flaw: &str) -> bool {
        self.flaw == flaw
    }

    fn columns(&self) -> usize {
        self.engine.describe("").columns.len()
    }

    fn describe(&self) -> wit::Descriptor {
        let mut said = self.engine.describe(env!("CARGO_PKG_NAME"));
        match self.flaw.as_str() {
            "nameless" => "somebody-else".clone_into(&mut said.name),
            "describe-changes" if self.calls > 0 => {
                said.demands.pop();
            }
            "wants-the-unknown" => said.columns.push(wit::Column {
                id: 77,
                name: None,
                scale: 0,
            }),
            "refuses-silently" => said.refusals.clear(),
            _ => {}
        }
        said
    }

    fn configure(&mut self, json: &str) -> Result<(), String> {
        if self.is_configured && self.has("keeps-columns") {
            return Ok(());
        }
        match self.engine.configure(json) {
            Ok(()) => {
                self.flaw = Config::parse(json)?.text("flaw", "none")?;
                self.is_configured = true;
                self.rows = 0;
                self.values.clear();
                Ok(())
            }
            Err(_) if self.has("vague-refusal") => Err("bad configuration".to_owned()),
            Err(words) => {
                if self.has("drops-configuration") {
                    self.engine.configure("{\"weight\": 0}")?;
                }
                Err(words)
            }
        }
    }

    fn keep(&mut self, epoch: u64, rows: u32, values: Vec<u32>) -> bool {
        self.epoch = epoch;
        self.rows = rows as usize;
        self.values.clone_from(&values);
        self.engine.load(epoch, rows, values)
    }

    fn load(&mut self, epoch: u64, rows: u32, mut values: Vec<u32>) -> bool {
        assert!(!(self.has("traps-on-nothing") && rows == 0), "no rows");
        let columns = self.columns();
        let fits = values.len() == rows as usize * columns;
        match self.flaw.as_str() {
            "keeps-after-bad-load" if !fits => false,
            "loads-anything" => {
                values.resize(rows as usize * columns, 0);
                self.keep(epoch, rows, values)
            }
            "load-appends" if fits && self.rows > 0 => {
                let (before, new) = (self.rows, rows as usize);
                let whole = (0..columns)
                    .flat_map(|column| {
                        let old = &self.values[column * before..(column + 1) * before];
                        let added = &values[column * new..(column + 1) * new];
                        [old, added].concat()
                    })
                    .collect();
                let rows = rows + u32::try_from(before).unwrap_or(0);
                self.keep(epoch, rows, whole)
            }
            _ => self.keep(epoch, rows, values),
        }
    }

    fn apply(&mut self, before: u64, after: u64, rows: &[u32], values: &[u32]) -> bool {
        let columns = self.columns();
        match self.flaw.as_str() {
            "apply-forgets" => {
                let of_first = |column: usize| values.get(column * rows.len()).copied();
                let first: Vec<u32> = (0..columns).filter_map(of_first).collect();
                self.engine
                    .apply(before, after, rows.get(..1).unwrap_or_default(), &first)
            }
            "apply-adds" => {
                let count = rows.len();
                let added: Vec<u32> = (0..columns * count)
                    .map(|at| {
                        let (column, row) = (at / count, rows[at % count] as usize);
                        values[at].saturating_add(self.values[column * self.rows + row])
                    })
                    .collect();
                self.engine.apply(before, after, rows, &added)
            }
            "applies-anyway" => self.engine.apply(self.epoch, after, rows, values),
            "applies-a-part" => {
                let mut padded = values.to_vec();
                padded.resize(columns * rows.len(), 0);
                self.engine.apply(before, before, rows, &padded);
                values.len() == padded.len()
            }
            "grows" if rows.iter().any(|row| *row as usize >= self.rows) => {
                let rows = self.rows + 1;
                let whole = vec![1; columns * rows];
                self.keep(before, u32::try_from(rows).unwrap_or(0), whole)
            }
            _ => self.engine.apply(before, after, rows, values),
        }
    }

    fn score(&mut self, epoch: u64, ask: wit::Ask, rows: Vec<u32>) -> Vec<u32> {
        self.calls += 1;
        let (seed, demand) = (ask.seed, ask.demand.first().copied().unwrap_or(0));
        let (has_attrs, has_facts) = (!ask.attrs.is_empty(), !ask.facts.is_empty());
        self.trap(demand, has_facts);
        let (epoch, rows) = self.asked(epoch, rows);
        if self.has("none-is-none") && rows.is_empty() {
            return Vec::new();
        }
        let mut scores = self.engine.score(epoch, ask, &rows);
        let add = match self.flaw.as_str() {
            "counts-calls" => self.calls,
            "remembers-asks" => {
                self.largest_ask = self.largest_ask.max(demand);
                self.largest_ask
            }
            "looks-at-others" => self.engine_sum(),
            "uses-the-seed" => u32::try_from(seed % 100).unwrap_or(0),
            "trips-over-attributes" => u32::from(has_attrs),
            _ => 0,
        };
        for score in scores.iter_mut().filter(|score| **score < REFUSE) {
            *score += add;
        }
        if self.has("one-short") {
            scores.pop();
        }
        scores
    }

    /// What is really asked, for flaws that take something else for it.
    fn asked(&self, epoch: u64, mut rows: Vec<u32>) -> (u64, Vec<u32>) {
        match self.flaw.as_str() {
            "scores-any-epoch" => return (self.epoch, rows),
            "sorts-rows" => rows.sort_unstable(),
            "merges-rows" => rows.dedup(),
            _ => {}
        }
        (epoch, rows)
    }

    /// A number that each row has a part in.
    fn engine_sum(&self) -> u32 {
        let ask = Ask::default();
        let every: Vec<u32> = (0..self.rows).filter_map(|row| u32::try_from(row).ok()).collect();
        // The columns are at one of the last epochs: whichever it is, it is the sum of what all rows have.
        let scores = (self.epoch..self.epoch + 8).map(|epoch| self.engine.scores(epoch, &ask, &every));
        scores
            .flatten()
            .filter(|score| *score < REFUSE)
            .fold(0, u32::wrapping_add)
            % 1_000
    }

    /// The flaws that end in a trap or never end.
    fn trap(&self, demand: u32, has_facts: bool) {
        let totals = self
            .values
            .get(TOTAL_VCPUS * self.rows..(TOTAL_VCPUS + 1) * self.rows)
            .unwrap_or_default();
        match self.flaw.as_str() {
            "traps-when-empty" => assert!(!self.values.is_empty(), "nothing is loaded"),
            "traps-on-one" => {
                black_box(100 / self.rows.saturating_sub(1));
            }
            "divides-by-rows" => {
                totals.iter().for_each(|total| {
                    black_box(100 / *total);
                });
            }
            "overflows" => assert!(
                totals.iter().all(|total| total.checked_mul(4096).is_some()),
                "overflow"
            ),
            "divides-by-demand" => {
                black_box(100 / demand);
            }
            "needs-facts" => assert!(has_facts, "no facts"),
            "slow" => {
                for round in 0..self.rows * self.rows * 20 {
                    black_box(round);
                }
            }
            "grows-with-questions" => {
                black_box(Box::leak(vec![1_u8; LEAK_BYTES].into_boxed_slice()));
            }
            _ => {}
        }
    }
}

thread_local! {
    static HELD: RefCell<Held> = const { RefCell::new(Held::new()) };
}

/// The component.
#[derive(Debug)]
pub struct Component;

impl wit::Guest for Component {
    fn describe() -> wit::Descriptor {
        HELD.with_borrow(Held::describe)
    }
    fn configure(json: String) -> Result<(), String> {
        HELD.with_borrow_mut(|held| held.configure(&json))
    }
    fn load(epoch: u64, rows: u32, values: Vec<u32>) -> bool {
        HELD.with_borrow_mut(|held| held.load(epoch, rows, values))
    }
    fn apply(before: u64, after: u64, rows: Vec<u32>, values: Vec<u32>) -> bool {
        HELD.with_borrow_mut(|held| held.apply(before, after, &rows, &values))
    }
    fn score(epoch: u64, ask: wit::Ask, rows: Vec<u32>) -> Vec<u32> {
        HELD.with_borrow_mut(|held| held.score(epoch, ask, rows))
    }
}

#[cfg(target_arch = "wasm32")]
velum_guest::bindings::policy::export!(Component with_types_in velum_guest::bindings::policy);
