//! What would have come of it if another policy had decided: the history of a zone once more, in which machines go where that
//! policy puts them, and leave when they left.

use std::collections::HashSet;

use velum_model::{
    decision::Decision,
    id::{ComputeHostId, DecisionId, InstanceId, LayerId},
    port::placement::PolicyFailure,
};

use crate::{
    ask::{Ask, DiskAsk},
    choose::Choice,
    explain::AskRecord,
    inventory::Inventory,
    placer::{Placer, Wanted},
    ranker::Ranker,
    update::{LayerClaim, RunClaim, Update, VolumeClaim},
};

/// Moved machines that are listed: as many as a person looks through; all are counted.
const MOVES_LISTED: usize = 100;

/// A machine that would have gone elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The decision.
    pub decision: DecisionId,
    /// The machine.
    pub instance: InstanceId,
    /// Where it went; none = nowhere.
    pub then: Option<ComputeHostId>,
    /// Where it would have gone.
    pub would: Option<ComputeHostId>,
}

/// What came of the decisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Decisions that were looked at.
    pub decisions: u64,
    /// Those that would have come out the same.
    pub same: u64,
    /// Machines that would have gone to another compute host.
    pub moved: u64,
    /// Asks that were refused.
    pub refused_then: u64,
    /// Asks that would have been refused.
    pub refused_would: u64,
    /// Asks at which the policy failed.
    pub failed: u64,
    /// How it failed first.
    pub failure: Option<PolicyFailure>,
    /// The first that differ.
    pub moves: Vec<Move>,
    /// Fuel that the policy used in all.
    pub fuel: u64,
}

/// How full a zone is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packing {
    /// Compute hosts.
    pub compute_hosts: u32,
    /// Those without a run.
    pub empty: u32,
    /// vCPUs promised.
    pub vcpus_used: u64,
    /// vCPUs that may be promised on compute hosts with a run.
    pub vcpus_there: u64,
    /// MiB promised.
    pub memory_used_mib: u64,
    /// MiB that may be promised on compute hosts with a run.
    pub memory_there_mib: u64,
}

impl Packing {
    /// Of an inventory: looks at each compute host.
    #[must_use]
    pub fn of(inventory: &Inventory) -> Self {
        let hosts = &inventory.hosts;
        let at = |column: &[u64], row: usize| column.get(row).copied().unwrap_or(0);
        let mut packing = Self::default();
        for (row, record) in hosts.records.iter().enumerate() {
            if record.is_none() {
                continue;
            }
            packing.compute_hosts += 1;
            if hosts.runs.get(row).copied().unwrap_or(0) == 0 {
                packing.empty += 1;
                continue;
            }
            packing.vcpus_used += at(&hosts.vcpus_used, row);
            packing.vcpus_there += at(&hosts.vcpus_limit, row);
            packing.memory_used_mib += at(&hosts.memory_used, row);
            packing.memory_there_mib += at(&hosts.memory_limit, row);
        }
        packing
    }
}

/// A zone's history as it was and as it would have been.
///
/// Decisions come between the changes, each before the change that its epoch leads to. What ties an instance to a place is
/// taken as it was: the pools of its volumes, and where it ran before. How long a machine that was refused would have stayed is
/// not known: it is counted and claims nothing.
pub struct Evaluation {
    then: Inventory,
    would: Inventory,
    placer: Placer,
    hosts: Ranker,
    pools: Ranker,
    /// The claims that come next are those of this decision.
    following: Option<Following>,
    /// Layers that lie elsewhere now: what is said of them later is not said of these.
    elsewhere: HashSet<LayerId>,
    tally: Tally,
}

/// Claims of one decision, of which the policy had its own thoughts.
struct Following {
    disks: Vec<DiskAsk>,
    choice: Option<Choice>,
    has_run: bool,
    /// Disks whose claims have come.
    volumes: usize,
    /// The layer that the last of them needs where it would be, unless the one that comes next is it.
    owed: Option<LayerClaim>,
}

impl Evaluation {
    /// Begins with the zone as it was.
    #[must_use]
    pub fn begin(then: Inventory, hosts: Ranker, pools: Ranker) -> Self {
        Self {
            would: then.clone(),
            then,
            placer: Placer::default(),
            hosts,
            pools,
            following: None,
            elsewhere: HashSet::new(),
            tally: Tally::default(),
        }
    }

    /// Sets both zones to this one: what lies between is not known.
    pub fn restart(&mut self, then: Inventory) {
        // A policy must not take it for what it knows.
        self.would = then.clone().under_epoch(self.would.epoch() + 1);
        self.then = then;
        self.placer = Placer::default();
        self.following = None;
        self.elsewhere.clear();
    }

    /// The zone as it was.
    #[must_use]
    pub const fn then(&self) -> &Inventory {
        &self.then
    }

    /// The zone as it would have been.
    #[must_use]
    pub const fn would(&self) -> &Inventory {
        &self.would
    }

    /// What came of the decisions so far.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Asks the policy what was decided then. Nothing happens if the decision's ask does not read as one.
    pub fn decide(&mut self, decision: &Decision) {
        let Ok(record) = serde_json::from_value::<AskRecord>(decision.ask.clone()) else {
            return;
        };
        self.settle();
        let choice = self.choose(&record.ask, decision.seed);
        let (then, would) = (
            decision.winner.map(|winner| winner.compute_host),
            choice.as_ref().map(|choice| choice.host),
        );
        let tally = &mut self.tally;
        tally.decisions += 1;
        tally.refused_then += u64::from(then.is_none());
        tally.refused_would += u64::from(would.is_none());
        if then == would {
            tally.same += 1;
        } else {
            tally.moved += u64::from(then.is_some() && would.is_some());
            if tally.moves.len() < MOVES_LISTED {
                tally.moves.push(Move {
                    decision: decision.id,
                    instance: decision.instance,
                    then,
                    would,
                });
            }
        }
        self.following = then.is_some().then_some(Following {
            disks: record.ask.disks,
            choice,
            has_run: false,
            volumes: 0,
            owed: None,
        });
    }

    /// The claims of the decision before are complete.
    fn settle(&mut self) {
        if let Some(owed) = self.following.take().and_then(|following| following.owed) {
            self.would.apply(Update::Layer(owed));
        }
    }

    fn choose(&mut self, ask: &Ask, seed: u64) -> Option<Choice> {
        let rankers = (&mut self.hosts, &mut self.pools);
        let outcome = self.placer.choose(&self.would, ask, seed, rankers, Wanted::LEAST);
        self.tally.fuel += outcome.fuel;
        if let Some(failure) = outcome.policy.failed.or(outcome.pool_policy.failed) {
            self.tally.failed += 1;
            self.tally.failure.get_or_insert(failure);
        }
        outcome.choice
    }

    /// Whether its policy is lost: the next decisions would be its fallback's. [`Evaluation::renew`] gives it another instance.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.hosts.is_broken()
    }

    /// Goes on with another instance of the policy.
    pub fn renew(&mut self, hosts: Ranker) {
        self.hosts = hosts;
    }

    /// What changed then, and what would have changed instead.
    pub fn change(&mut self, update: &Update) {
        self.then.apply(update.clone());
        for update in self.instead_of(update) {
            self.would.apply(update);
        }
    }

    fn instead_of(&mut self, update: &Update) -> Vec<Update> {
        match update {
            Update::Layer(claim) if self.elsewhere.contains(&claim.layer) => return Vec::new(),
            Update::LayerReady(layer) | Update::LayerGone(layer) if self.elsewhere.contains(layer) => {
                return Vec::new();
            }
            _ => {}
        }
        let Some(mut following) = self.following.take() else {
            return vec![update.clone()];
        };
        let owed = following.owed.take();
        let mut here = Vec::new();
        let goes_on = match (update, following.has_run) {
            (Update::Run(_) | Update::RunWith { .. }, false) => {
                following.has_run = true;
                here.extend(following.run(update));
                true
            }
            (Update::Volume(claim), true) if following.volumes < following.disks.len() => {
                here.extend(owed.map(Update::Layer));
                here.extend(following.volume(*claim, &self.would));
                following.volumes += 1;
                true
            }
            // That a planned one is committed is no claim of this decision's; whether it lies elsewhere was seen above.
            (Update::Layer(claim), true) if claim.committed => {
                following.owed = owed;
                here.push(update.clone());
                true
            }
            (Update::Layer(claim), true) => {
                match owed {
                    Some(owed) if (owed.pool, owed.template) == (claim.pool, claim.template) => {
                        here.push(update.clone());
                    }
                    owed => {
                        here.extend(owed.map(Update::Layer));
                        self.elsewhere.insert(claim.layer);
                    }
                }
                true
            }
            // It is about something else: the claims are complete.
            _ => {
                here.extend(owed.map(Update::Layer));
                here.push(update.clone());
                false
            }
        };
        self.following = goes_on.then_some(following);
        here
    }
}

impl Following {
    fn run(&self, claimed: &Update) -> Option<Update> {
        let host = self.choice.as_ref()?.host;
        match claimed {
            Update::Run(claim) => Some(Update::Run(RunClaim { host, ..*claim })),
            Update::RunWith { claim, extras } => Some(Update::RunWith {
                claim: RunClaim { host, ..*claim },
                extras: extras.clone(),
            }),
            _ => None,
        }
    }

    fn volume(&mut self, claim: VolumeClaim, inventory: &Inventory) -> Option<Update> {
        let place = self.choice.as_ref()?.pools.get(self.volumes)?;
        let (pool, bytes) = (place.pool, place.bytes);
        let template = self.disks.get(self.volumes)?.template;
        self.owed = template
            .filter(|of| inventory.layer_of(pool, of.id).is_none())
            .map(|of| LayerClaim {
                // Nobody speaks of this layer: it has the volume's name.
                layer: LayerId::from_uuid(claim.volume.uuid()),
                pool,
                template: of.id,
                bytes: of.layer_bytes,
                ready: true,
                committed: true,
            });
        Some(Update::Volume(VolumeClaim { pool, bytes, ..claim }))
    }
}
