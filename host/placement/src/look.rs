//! A decision in full: what was said of every compute host of the zone.

use std::collections::{BTreeMap, HashMap, HashSet};

use velum_model::{
    Name,
    decision::{Refusal, Tier},
    id::ComputeHostId,
    port::placement::{Column, registry},
    resource::ResourceName,
};

use crate::{
    ask::Ask,
    choose::{Outcome, choose},
    filter::filter,
    inventory::Inventory,
    ranker::{Question, Ranker, cached},
    row::{Around, Row},
    ties::{Tiers, Ties},
};

/// What was said of a compute host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// The policy gave it a score.
    Score(u32),
    /// A filter, the policy or the want of a pool refused it.
    Refused(Refusal),
    /// It was not among those that the policy was shown.
    NotShown,
}

/// A compute host as the decision saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub compute_host: ComputeHostId,
    /// What was said of it.
    pub says: Says,
    /// How far it is from what the project and its groups prefer.
    pub tier: Tier,
    /// vCPUs that could still be promised, and in all.
    pub vcpus: (u64, u64),
    /// MiB of memory that could still be promised, and in all.
    pub memory_mib: (u64, u64),
    /// Of each countable resource that is there or was asked for: how much could still be promised, and in all.
    pub resources: BTreeMap<ResourceName, (u64, u64)>,
    /// Runs there.
    pub runs: u32,
    /// Runs of the same project there.
    pub runs_of_project: u32,
    /// Members of the instance's affinity groups there.
    pub kin: u32,
    /// The latest minute since 1970 at which one of its runs is expected to end, as policies see it.
    pub latest_end: u32,
    /// Whether it reached a pool with the template.
    pub has_template: bool,
    /// A number that compute hosts of the same pod share, and one of the same cluster, as policies see them.
    pub pod: u32,
    /// See `pod`.
    pub cluster: u32,
    /// The operator's numeric attributes.
    pub attributes: BTreeMap<Name, u32>,
    /// Its row: where it stands in the list.
    row: Row,
}

/// Decides again and tells of every compute host: those with a score first, best first and equal ones in the order in which the
/// seed put them, each tier before the next; then those that were refused.
#[must_use]
pub fn look(
    inventory: &Inventory,
    ask: &Ask,
    seed: u64,
    (hosts, pools): (&mut Ranker, &mut Ranker),
) -> (Outcome, Vec<Candidate>) {
    let outcome = choose(inventory, ask, seed, hosts, pools);
    let filtered = filter(inventory, ask);
    let rows: Vec<Row> = filtered.candidates.rows().collect();
    let mut says: HashMap<Row, Says> = HashMap::with_capacity(inventory.hosts.len() as usize);
    for (row, refusal) in filtered.refused {
        says.insert(row, Says::Refused(refusal));
    }
    if !rows.is_empty() {
        let verdict = hosts.rank(inventory, Question::Hosts(ask), seed, &rows);
        let scored = verdict.rows.iter().zip(&verdict.scores);
        says.extend(
            scored
                .filter(|&(_, &score)| score < registry::REFUSE)
                .map(|(&row, &score)| (row, Says::Score(score))),
        );
    }
    for (host, refusal) in &outcome.turned_down {
        if let Some(row) = inventory.host_row(*host) {
            says.insert(row, Says::Refused(refusal.clone()));
        }
    }
    let facts = Facts::of(inventory, ask);
    let mut candidates: Vec<Candidate> = (0..inventory.hosts.len())
        .filter_map(|row| {
            let says = says.remove(&row).unwrap_or(Says::NotShown);
            Candidate::of(inventory, row, says, &facts)
        })
        .collect();
    let around = Around::of(seed, inventory.hosts.len());
    candidates.sort_by_key(|candidate| match candidate.says {
        Says::Score(score) => (0, candidate.tier, u32::MAX - score, around.place(candidate.row)),
        Says::NotShown => (1, Tier::default(), 0, candidate.row),
        Says::Refused(_) => (2, Tier::default(), 0, candidate.row),
    });
    (outcome, candidates)
}

/// What a policy may want to know about rows beside their columns.
struct Facts<'a> {
    of_project: HashMap<Row, u32>,
    with_template: HashSet<Row>,
    kin: HashMap<Row, u32>,
    tiers: Tiers<'a>,
    ask: &'a Ask,
}

impl<'a> Facts<'a> {
    fn of(inventory: &'a Inventory, ask: &'a Ask) -> Self {
        let rows: Vec<Row> = (0..inventory.hosts.len()).collect();
        let ties = Ties::of(inventory, ask);
        Self {
            kin: ties.kin().into_iter().collect(),
            tiers: Tiers::of(inventory, ask, &ties),
            ask,
            of_project: inventory.hosts.runs_of(ask.project).into_iter().collect(),
            with_template: cached(inventory, Question::Hosts(ask), &rows)
                .into_iter()
                .map(|(row, _)| row)
                .collect(),
        }
    }
}

impl Candidate {
    fn of(inventory: &Inventory, row: Row, says: Says, facts: &Facts<'_>) -> Option<Self> {
        let hosts = &inventory.hosts;
        let at = |column: &[u64]| column.get(row as usize).copied().unwrap_or(0);
        let host = hosts.record(row)?;
        let column = |id| {
            let column = Column {
                id,
                name: None,
                scale: 0,
            };
            hosts.value(&column, row)
        };
        let names = host.resources.keys().chain(facts.ask.resources.keys());
        let resources = names.map(|name| {
            let of = name.as_str();
            (
                name.clone(),
                (hosts.resources.free(of, row), hosts.resources.limit(of, row)),
            )
        });
        Some(Self {
            compute_host: host.id,
            tier: facts.tiers.tier(row),
            kin: facts.kin.get(&row).copied().unwrap_or(0),
            runs_of_project: facts.of_project.get(&row).copied().unwrap_or(0),
            has_template: facts.with_template.contains(&row),
            latest_end: column(registry::COLUMN_LATEST_END),
            pod: column(registry::COLUMN_POD),
            cluster: column(registry::COLUMN_CLUSTER),
            attributes: host.attributes.clone(),
            says,
            vcpus: (hosts.free_vcpus(row), at(&hosts.vcpus_limit)),
            memory_mib: (hosts.free_memory(row), at(&hosts.memory_limit)),
            resources: resources.collect(),
            runs: hosts.runs.get(row as usize).copied().unwrap_or(0),
            row,
        })
    }
}
