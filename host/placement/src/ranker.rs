//! A policy as the planner holds it: kept at the inventory's epoch, checked, and replaced by the built-in one when it
//! fails.

use serde_json::Value;
use velum_model::{
    decision::{PolicyUsed, Tier},
    id::PolicyId,
    plugin::{Digest, Fallback},
    port::placement::{Fact, PlacementPolicy, PolicyAsk, PolicyDescriptor, PolicyFailure, registry},
    quantity::GIB,
};

use crate::{
    ask::{Ask, DiskAsk},
    builtin,
    inventory::Inventory,
    row::{Row, mix},
    ties::{Tiers, Ties},
};

/// Which policy this is.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyLabel {
    /// The policy row; none for the built-in one.
    pub policy: Option<PolicyId>,
    /// Its name.
    pub name: String,
    /// The component; none for the built-in one.
    pub digest: Option<Digest>,
    /// Generation of the policy row.
    pub generation: u64,
    /// Its configuration.
    pub config: Value,
    /// What happens when it fails.
    pub fallback: Fallback,
}

impl PolicyLabel {
    /// The built-in policy.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            policy: None,
            name: "built-in".into(),
            digest: None,
            generation: 0,
            config: Value::Null,
            fallback: Fallback::BuiltIn,
        }
    }
}

/// Ranks rows: with a policy's instance, or built in.
pub struct Ranker {
    label: PolicyLabel,
    state: State,
}

enum State {
    BuiltIn,
    Ready(Loaded),
    /// It failed, or could not be made: whoever owns the ranker gives it another instance.
    Broken(PolicyFailure),
}

struct Loaded {
    policy: Box<dyn PlacementPolicy>,
    /// The epoch that the instance holds.
    held: Option<u64>,
}

/// What a ranker said.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Rows that were ranked, ascending: all that were asked, or a seeded sample of them.
    pub rows: Vec<Row>,
    /// A score for each; empty when the policy failed and its fallback is to refuse.
    pub scores: Vec<u32>,
    /// The policy's refusal codes in words.
    pub refusals: Vec<(u16, String)>,
    /// Set when only a sample was ranked.
    pub sampled: bool,
    /// Who decided, and whether it failed.
    pub used: PolicyUsed,
    /// Fuel that it took.
    pub fuel: u64,
}

/// What is ranked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question<'a> {
    /// Compute hosts for a machine.
    Hosts(&'a Ask),
    /// Pools for a disk.
    Pools(&'a DiskAsk),
}

impl Ranker {
    /// The built-in policy.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            label: PolicyLabel::built_in(),
            state: State::BuiltIn,
        }
    }

    /// A policy with its instance.
    #[must_use]
    pub fn of(label: PolicyLabel, policy: Box<dyn PlacementPolicy>) -> Self {
        let state = State::Ready(Loaded { policy, held: None });
        Self { label, state }
    }

    /// A policy of which no instance could be made: its fallback decides.
    #[must_use]
    pub fn broken(label: PolicyLabel, failure: PolicyFailure) -> Self {
        Self {
            label,
            state: State::Broken(failure),
        }
    }

    /// Which policy it is.
    #[must_use]
    pub const fn label(&self) -> &PolicyLabel {
        &self.label
    }

    /// Whether its instance is lost: it answers by its fallback until it is made anew.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        matches!(self.state, State::Broken(_))
    }

    /// Whether a score, once given, holds until its row changes: it depends on the row's columns and on the ask's shape alone.
    pub(crate) fn scores_stay(&self) -> bool {
        match &self.state {
            State::BuiltIn => true,
            State::Ready(loaded) => {
                let descriptor = loaded.policy.descriptor();
                descriptor.row_local && descriptor.facts.is_empty() && descriptor.max_rows == 0
            }
            State::Broken(_) => false,
        }
    }

    /// What the policy is told of an ask beside its shape: its scores hold for asks that are told the same.
    pub(crate) fn attrs(&self, ask: &Ask) -> Vec<(u16, u32)> {
        match &self.state {
            State::Ready(loaded) => Question::Hosts(ask).attrs(loaded.policy.descriptor()),
            State::BuiltIn | State::Broken(_) => Vec::new(),
        }
    }

    /// Ranks `rows` (ascending).
    pub(crate) fn rank(
        &mut self,
        inventory: &Inventory,
        question: Question<'_>,
        seed: u64,
        rows: &[Row],
    ) -> Verdict {
        let failure = match &mut self.state {
            State::BuiltIn => {
                return self.verdict(rows.to_vec(), built_in(inventory, question, rows));
            }
            State::Broken(failure) => failure.clone(),
            State::Ready(loaded) => match loaded.rank(inventory, question, seed, rows) {
                Ok(ranked) => {
                    let refusals = loaded.policy.descriptor().refusals.clone();
                    let fuel = loaded.policy.fuel_used();
                    let mut verdict = self.verdict(ranked.0, ranked.1);
                    verdict.sampled = verdict.rows.len() < rows.len();
                    (verdict.refusals, verdict.fuel) = (refusals, fuel);
                    return verdict;
                }
                Err(failure) => failure,
            },
        };
        self.state = State::Broken(failure.clone());
        let scores = match self.label.fallback {
            Fallback::BuiltIn => built_in(inventory, question, rows),
            Fallback::Refuse => Vec::new(),
        };
        let mut verdict = self.verdict(rows.to_vec(), scores);
        verdict.used.failed = Some(failure);
        verdict.used.fallback = Some(self.label.fallback);
        verdict
    }

    fn verdict(&self, rows: Vec<Row>, scores: Vec<u32>) -> Verdict {
        Verdict {
            rows,
            scores,
            refusals: Vec::new(),
            sampled: false,
            used: self.used(),
            fuel: 0,
        }
    }

    /// Who would decide.
    #[must_use]
    pub fn used(&self) -> PolicyUsed {
        PolicyUsed {
            policy: self.label.policy,
            name: self.label.name.clone(),
            digest: self.label.digest.clone(),
            generation: self.label.generation,
            config: self.label.config.clone(),
            failed: None,
            fallback: None,
        }
    }
}

fn built_in(inventory: &Inventory, question: Question<'_>, rows: &[Row]) -> Vec<u32> {
    let score = |&row: &Row| match question {
        Question::Hosts(ask) => builtin::score_host(inventory, ask, row),
        Question::Pools(_) => builtin::score_pool(inventory, row),
    };
    rows.iter().map(score).collect()
}

impl Loaded {
    fn rank(
        &mut self,
        inventory: &Inventory,
        question: Question<'_>,
        seed: u64,
        rows: &[Row],
    ) -> Result<(Vec<Row>, Vec<u32>), PolicyFailure> {
        let kind = question.kind();
        let wanted = self.policy.descriptor().row_kind;
        if wanted != kind {
            let problem = format!("it ranks rows of kind {wanted}, not {kind}");
            return Err(PolicyFailure::Nonsense(problem));
        }
        let epoch = self.catch_up(inventory, kind)?;
        let descriptor = self.policy.descriptor();
        let rows = sample(inventory, question, seed, rows, descriptor.max_rows);
        let ask = PolicyAsk {
            demand: question.demands(descriptor),
            attrs: question.attrs(descriptor),
            facts: facts(inventory, question, descriptor, &rows),
            seed: if descriptor.row_local { 0 } else { seed },
        };
        let scores = self.policy.score(epoch, &ask, &rows)?;
        if scores.len() == rows.len() {
            Ok((rows, scores))
        } else {
            let problem = format!("{} scores for {} rows", scores.len(), rows.len());
            Err(PolicyFailure::Nonsense(problem))
        }
    }

    /// Brings the instance to the inventory; answers the epoch that it holds then.
    fn catch_up(&mut self, inventory: &Inventory, kind: u16) -> Result<u64, PolicyFailure> {
        let now = inventory.epoch();
        if let Some(held) = self.held
            && let Some(rows) = inventory.changed_since(kind, held)
        {
            if rows.is_empty() {
                return Ok(held);
            }
            let values = inventory.values(kind, &self.policy.descriptor().columns, &rows);
            if self.policy.apply(held, now, &rows, &values)? {
                self.held = Some(now);
                return Ok(now);
            }
        }
        let count = inventory.rows(kind);
        let all: Vec<Row> = (0..count).collect();
        let values = inventory.values(kind, &self.policy.descriptor().columns, &all);
        self.policy.load(now, count, &values)?;
        self.held = Some(now);
        Ok(now)
    }
}

impl Question<'_> {
    const fn kind(self) -> u16 {
        match self {
            Self::Hosts(_) => registry::ROW_COMPUTE_HOST,
            Self::Pools(_) => registry::ROW_STORAGE_POOL,
        }
    }

    /// How much of what a policy wants to know is asked for, in the order in which it names it.
    pub(crate) fn demands(self, descriptor: &PolicyDescriptor) -> Vec<u32> {
        let demand = |&code: &u16| match descriptor.resource_of(code) {
            Some(name) => self.resource(name),
            None => self.demand(code),
        };
        descriptor.demands.iter().map(demand).collect()
    }

    fn resource(self, name: &str) -> u32 {
        match self {
            Self::Hosts(ask) => ask.resources.get(name).map_or(0, |amount| amount.get()),
            Self::Pools(_) => 0,
        }
    }

    fn demand(self, demand: u16) -> u32 {
        let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        match (self, demand) {
            (Self::Hosts(ask), registry::DEMAND_VCPUS) => ask.vcpus.get(),
            (Self::Hosts(ask), registry::DEMAND_MEMORY_MIB) => narrow(ask.memory.get()),
            (Self::Hosts(ask), registry::DEMAND_GIB) => {
                narrow(ask.disks.iter().map(|disk| disk.bytes.div_ceil(GIB)).sum())
            }
            (Self::Pools(disk), registry::DEMAND_GIB) => narrow(disk.bytes.div_ceil(GIB)),
            _ => 0,
        }
    }

    /// The attributes of the ask that a policy wants, in the order in which it names them.
    pub(crate) fn attrs(self, descriptor: &PolicyDescriptor) -> Vec<(u16, u32)> {
        let attributes = registry::DEMAND_ATTRS..=registry::DEMAND_ATTRS_LAST;
        let wanted = descriptor.demands.iter().filter(|code| attributes.contains(code));
        wanted
            .filter_map(|code| {
                let code = code - registry::DEMAND_ATTRS;
                let value = match (self, code) {
                    (Self::Hosts(ask), registry::ATTR_NOW) => Some(ask.now_minute),
                    (Self::Hosts(ask), registry::ATTR_EXPECTED_END) => ask.expected_end(),
                    _ => None,
                };
                Some((code, value?))
            })
            .collect()
    }

    fn identity(self, inventory: &Inventory, row: Row) -> u128 {
        match self {
            Self::Hosts(_) => inventory.host(row).map_or(0, |host| host.id.uuid().as_u128()),
            Self::Pools(_) => inventory.pool(row).map_or(0, |pool| pool.id.uuid().as_u128()),
        }
    }

    /// What comes before any score.
    pub(crate) fn tiers(self, inventory: &Inventory) -> Tiers<'_> {
        match self {
            Self::Hosts(ask) => Tiers::of(inventory, ask, &Ties::of(inventory, ask)),
            Self::Pools(_) => Tiers::default(),
        }
    }

    fn template(self) -> Option<velum_model::TemplateId> {
        match self {
            Self::Hosts(ask) => ask.disks.iter().find_map(|disk| disk.template),
            Self::Pools(disk) => disk.template,
        }
        .map(|of| of.id)
    }
}

/// All rows, or `max` of them, ascending: those of the first tiers, drawn by the seed where not all of a tier are wanted. 0 = no
/// bound.
pub(crate) fn sample(
    inventory: &Inventory,
    question: Question<'_>,
    seed: u64,
    rows: &[Row],
    max: u32,
) -> Vec<Row> {
    let max = max as usize;
    if max == 0 || rows.len() <= max {
        return rows.to_vec();
    }
    let tiers = question.tiers(inventory);
    let mut drawn: Vec<(Tier, u64, Row)> = rows
        .iter()
        .map(|&row| (tiers.tier(row), mix(seed, question.identity(inventory, row)), row))
        .collect();
    drawn.sort_unstable();
    drawn.truncate(max);
    let mut rows: Vec<Row> = drawn.into_iter().map(|(.., row)| row).collect();
    rows.sort_unstable();
    rows
}

/// The facts that a policy wants, about the rows in question.
pub(crate) fn facts(
    inventory: &Inventory,
    question: Question<'_>,
    descriptor: &PolicyDescriptor,
    rows: &[Row],
) -> Vec<Fact> {
    descriptor
        .facts
        .iter()
        .map(|&id| {
            let about = match (id, question) {
                (registry::FACT_TEMPLATE_CACHED, _) => cached(inventory, question, rows),
                (registry::FACT_PREVIOUS_HOST, Question::Hosts(ask)) => ask
                    .previous
                    .and_then(|host| inventory.host_row(host))
                    .map(|row| (row, 1))
                    .into_iter()
                    .collect(),
                (registry::FACT_SAME_PROJECT, Question::Hosts(ask)) => inventory.hosts.runs_of(ask.project),
                (registry::FACT_SAME_PROJECT_IN_POD, Question::Hosts(ask)) => {
                    inventory.hosts.runs_in_pods_of(ask.project, rows)
                }
                (registry::FACT_KIN, Question::Hosts(ask)) => Ties::of(inventory, ask).kin(),
                _ => Vec::new(),
            };
            let known = |(row, _): &(Row, u32)| rows.binary_search(row).is_ok();
            let (rows, values) = about.into_iter().filter(known).unzip();
            Fact { id, rows, values }
        })
        .collect()
}

/// Rows that reach a pool with the template, each with 1.
pub(crate) fn cached(inventory: &Inventory, question: Question<'_>, rows: &[Row]) -> Vec<(Row, u32)> {
    let Some(template) = question.template() else {
        return Vec::new();
    };
    let holds = |pool: Row| {
        let id = inventory.pool(pool).map(|pool| pool.id);
        id.and_then(|id| inventory.layer_of(id, template))
            .is_some_and(|layer| layer.ready)
    };
    let near = |row: &Row| match question {
        Question::Pools(_) => holds(*row),
        Question::Hosts(_) => inventory
            .host(*row)
            .is_some_and(|host| inventory.pools.in_scope_of(host).into_iter().any(holds)),
    };
    rows.iter().copied().filter(near).map(|row| (row, 1)).collect()
}
