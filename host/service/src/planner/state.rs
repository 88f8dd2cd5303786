//! What the planner's thread owns, and what it does with it.

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc};

use tokio::sync::oneshot;
use uuid::Uuid;
use velum_model::{
    Timestamp,
    id::*,
    infrastructure::{IpRange, IpRangeUse},
    plugin::Fallback,
    resource::Resources,
};
use velum_placement::{
    AddressBook, Circumstances, Detail, DiskAsk, LayerClaim, NoAddress, Outcome, Placer, PoolChoice,
    Positions, RunClaim, RunExtras, Update, VolumeClaim, Wanted, choose_pool, explain, pool_refusals,
};
use velum_store::{NicRow, Table};

use super::{
    NoPlan, Plan, PlanAsk, PlannerParts, VolumePlan,
    claims::{claims_for, stand_in},
    digest::{News, Note},
    inbox::{Inbox, Order, Work},
    load::{Loaded, inventory_of},
    policy::Policies,
    recorded::Recorded,
    watching::{Seen, Watching},
};

/// See the module.
pub(crate) struct State {
    zone: ZoneId,
    parts: PlannerParts,
    inventory: Recorded,
    placer: Placer,
    addresses: AddressBook,
    gateways: HashMap<NetworkId, Ipv4Addr>,
    nics: HashMap<NicId, (IpRangeId, Ipv4Addr)>,
    policies: Policies,
    policy: Option<PolicyId>,
    pool_policy: Option<PolicyId>,
    watching: Watching,
    /// Claims of plans that are not committed yet, by run or (for volumes alone) volume.
    tentative: HashMap<Uuid, Tentative>,
    /// News since a load began.
    since_load: Option<Vec<Arc<News>>>,
}

/// Claims of one plan.
#[derive(Clone, Debug, Default)]
struct Tentative {
    claims: Vec<Update>,
    addresses: Vec<(IpRangeId, Ipv4Addr)>,
}

impl State {
    pub(crate) fn new(zone: ZoneId, parts: PlannerParts) -> Self {
        Self {
            zone,
            inventory: Recorded::new(Arc::clone(&parts.line)),
            placer: Placer::default(),
            addresses: AddressBook::default(),
            gateways: HashMap::new(),
            nics: HashMap::new(),
            policies: Policies::new(Arc::clone(&parts.plugins)),
            policy: None,
            pool_policy: None,
            watching: Watching::new(Arc::clone(&parts.desk), parts.probation, parts.misfits.clone()),
            tentative: HashMap::new(),
            since_load: None,
            parts,
        }
    }

    /// Works until the inbox is stopped. Whoever waits for an answer then learns it from the dropped channel.
    pub(crate) fn run(mut self, inbox: &Inbox) {
        loop {
            match inbox.next() {
                Work::Stop => return,
                Work::BeginLoad => self.since_load = Some(Vec::new()),
                Work::News(news) => {
                    self.follow(&news);
                    if let Some(since) = &mut self.since_load {
                        since.push(news);
                    }
                }
                Work::Order(order) => self.carry_out(order),
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Loaded(loaded) => self.replace(*loaded),
            Order::GiveBack(key) => self.give_back(key),
            Order::Tell => self.inventory.begin(),
            Order::Plan(mut ask, answer) => {
                let key = ask.run.uuid();
                let plan = self.plan(&mut ask);
                self.answer(key, plan, answer);
            }
            Order::PlanMany(mut asks, answer) => {
                let keys: Vec<Uuid> = asks.iter().map(|ask| ask.run.uuid()).collect();
                // Whoever has gone is not planned for any longer.
                let asked = asks.iter_mut().take_while(|_| !answer.is_closed());
                let plans = asked.map(|ask| self.plan(ask)).collect();
                if answer.send(plans).is_err() {
                    keys.into_iter().for_each(|key| self.give_back(key));
                }
            }
            Order::PlanVolume(volume, disk, answer) => {
                let plan = self.plan_volume(volume, &disk);
                self.answer(volume.uuid(), plan, answer);
            }
        }
    }

    /// Answers; when nobody waits any more, the claims go back at once.
    fn answer<P>(&mut self, key: Uuid, plan: Result<P, NoPlan>, answer: oneshot::Sender<Result<P, NoPlan>>) {
        if answer.send(plan).is_err() {
            self.give_back(key);
        }
    }

    // === following the commits ===

    fn follow(&mut self, news: &News) {
        for note in news {
            self.note(note);
        }
    }

    fn note(&mut self, note: &Note) {
        match note {
            Note::In(zone, update) if *zone == self.zone => {
                self.inventory.apply(update.clone());
            }
            Note::Policies(zone, policy, pool_policy) if *zone == self.zone => {
                self.policy = *policy;
                self.pool_policy = *pool_policy;
            }
            Note::In(..) | Note::Policies(..) => {}
            Note::Anywhere(update) => {
                self.inventory.apply(update.clone());
            }
            Note::Confirmed(key) => self.confirm(*key),
            Note::Policy(policy) => self.policies.put(policy.as_ref().clone()),
            Note::Shadow(shadow) => self.watching.begin(shadow.as_ref().clone()),
            Note::ShadowGone(policy, id) => self.watching.end(*policy, *id),
            Note::Network(network) if network.zone == self.zone => {
                self.gateways.insert(network.id, network.gateway);
            }
            Note::Network(_) => {}
            Note::Range(range, network) if range.zone == self.zone => {
                if !self.addresses.knows(range.id) {
                    let gateway = self.gateways.get(network).copied();
                    self.addresses.put(range.id, *network, range.range, gateway);
                }
            }
            Note::Range(..) => {}
            Note::Gone(table, id) => self.forget(*table, *id),
            Note::Nic(nic, range, address) => {
                if self.addresses.knows(*range) {
                    self.addresses.mark(*range, *address);
                    self.nics.insert(*nic, (*range, *address));
                }
            }
            Note::NicGone(nic) => {
                if let Some((range, address)) = self.nics.remove(nic) {
                    self.addresses.release(range, address);
                }
            }
        }
    }

    fn forget(&mut self, table: Table, id: Uuid) {
        match table {
            Table::IpRange => self.addresses.remove(Id::from_uuid(id)),
            Table::Policy => {
                self.policies.remove(Id::from_uuid(id));
                self.watching.forget(Id::from_uuid(id));
            }
            Table::Network => {
                self.gateways.remove(&Id::from_uuid(id));
            }
            _ => {}
        }
    }

    /// The claims are rows now. What only stood in for a row that moved is released.
    fn confirm(&mut self, key: Uuid) {
        let Some(tentative) = self.tentative.remove(&key) else {
            return;
        };
        for claim in tentative.claims {
            if let Update::Volume(claim) = claim
                && claim.volume.uuid() == stand_in(key)
            {
                self.inventory.apply(Update::VolumeGone(claim.volume));
            }
        }
    }

    fn give_back(&mut self, key: Uuid) {
        let Some(tentative) = self.tentative.remove(&key) else {
            return;
        };
        for claim in tentative.claims {
            let inverse = match claim {
                Update::Run(claim) | Update::RunWith { claim, .. } => Update::RunGone(claim.run),
                Update::Volume(claim) => Update::VolumeGone(claim.volume),
                Update::Layer(claim) if self.is_only_planned(&claim) => Update::LayerGone(claim.layer),
                _ => continue,
            };
            self.inventory.apply(inverse);
        }
        for (range, address) in tentative.addresses {
            self.addresses.release(range, address);
        }
    }

    fn is_only_planned(&self, claim: &LayerClaim) -> bool {
        self.inventory
            .layer_of(claim.pool, claim.template)
            .is_some_and(|known| known.layer == claim.layer && !known.committed)
    }

    // === loading ===

    fn replace(&mut self, loaded: Loaded) {
        self.inventory.clear(loaded.first_epoch);
        self.placer = Placer::default();
        self.addresses = AddressBook::default();
        self.nics.clear();
        if let Some(zone) = loaded.zone {
            self.policy = zone.policy;
            self.pool_policy = zone.pool_policy;
        }
        for policy in loaded.policies {
            self.policies.put(policy);
        }
        self.watching.replace(loaded.shadows);
        for update in inventory_of(&loaded.pods, &loaded.clusters, &loaded.inventory) {
            self.inventory.apply(update);
        }
        self.put_runs(loaded.runs, loaded.members, loaded.held);
        for claim in loaded.volumes {
            self.inventory.apply(Update::Volume(claim));
        }
        self.gateways = loaded
            .inventory
            .networks
            .iter()
            .map(|n| (n.id, n.gateway))
            .collect();
        for (range, claimed) in &loaded.inventory.ranges {
            let IpRangeUse::Public(network) = range.used_for else {
                continue;
            };
            let taken = claimed
                .iter()
                .copied()
                .chain(self.gateways.get(&network).copied());
            self.addresses.put(range.id, network, range.range, taken);
        }
        self.put_nics(&loaded.nics, &loaded.inventory.ranges);
        for news in self.since_load.take().unwrap_or_default() {
            self.follow(&news);
        }
        // What was committed while nobody listened is a row now.
        let known: Vec<Uuid> = self
            .tentative
            .keys()
            .copied()
            .filter(|key| self.is_row(*key))
            .collect();
        for key in known {
            self.confirm(key);
        }
        for tentative in self.tentative.values() {
            for claim in &tentative.claims {
                self.inventory.apply(claim.clone());
            }
            for (range, address) in &tentative.addresses {
                self.addresses.mark(*range, *address);
            }
        }
        self.inventory.begin();
    }

    fn put_nics(&mut self, nics: &[NicRow], ranges: &[(IpRange, Vec<Ipv4Addr>)]) {
        for nic in nics {
            let of_network = IpRangeUse::Public(nic.network);
            let holds = |range: &IpRange| range.used_for == of_network && range.range.contains(nic.address);
            if let Some((range, _)) = ranges.iter().find(|(range, _)| holds(range)) {
                self.nics.insert(nic.id, (range.id, nic.address));
                self.addresses.mark(range.id, nic.address);
            }
        }
    }

    /// Runs as they were read, each with its groups and what it holds.
    fn put_runs(
        &mut self,
        runs: Vec<RunClaim>,
        members: Vec<(RunId, AffinityGroupId)>,
        held: Vec<(RunId, Resources)>,
    ) {
        let mut extras: HashMap<RunId, RunExtras> = HashMap::new();
        for (run, group) in members {
            extras.entry(run).or_default().groups.push(group);
        }
        for (run, resources) in held {
            extras.entry(run).or_default().resources = resources;
        }
        for claim in runs {
            let of = extras.remove(&claim.run).unwrap_or_default();
            self.inventory.apply(Update::run(claim, of));
        }
    }

    fn is_row(&self, key: Uuid) -> bool {
        self.inventory.run(Id::from_uuid(key)).is_some()
            || self.inventory.volume(Id::from_uuid(key)).is_some()
    }

    // === planning ===

    fn plan(&mut self, ask: &mut PlanAsk) -> Result<Plan, NoPlan> {
        let began = self.parts.clock.now();
        let before = self.addresses.positions(ask.nics.iter().map(|nic| nic.1));
        let addresses = self.claim_addresses(ask, &before)?;
        let seed = self.parts.ids.seed();
        let mut hosts = self.policies.take(ask.policy.or(self.policy));
        let mut pools = self.policies.take(self.pool_policy);
        let asked = self.parts.clock.now();
        ask.ask.now_minute = asked.minute();
        let wanted = Wanted {
            refusals: ask.dry_run,
            turned_down: !ask.dry_run && self.watching.has_shadow(hosts.label().policy),
        };
        let rankers = (&mut hosts, &mut pools);
        let outcome = self
            .placer
            .choose(&self.inventory, &ask.ask, seed, rankers, wanted);
        self.policies.give(hosts);
        self.policies.give(pools);
        let now = self.parts.clock.now();
        let took = u64::try_from(now.micros() - asked.micros()).unwrap_or(0);
        self.watch(ask, seed, &outcome, (took, now));
        let circumstances = Circumstances {
            id: velum_model::chance::fresh(self.parts.ids.as_ref()),
            zone: self.zone,
            epoch: self.inventory.epoch(),
            seed,
            micros: u64::try_from(now.micros() - began.micros()).unwrap_or(0),
            at: now,
        };
        let detail = if ask.dry_run || outcome.choice.is_none() {
            Detail::Shown
        } else {
            Detail::Stored
        };
        let decision = Box::new(explain(&ask.ask, &outcome, &circumstances, detail));
        let choice = match outcome.choice.clone() {
            Some(choice) => choice,
            None => {
                self.addresses.unclaim(&addresses, &before);
                return Err(refusal(outcome, decision));
            }
        };
        let wants_layer = self.wants_layers(ask, &choice.pools);
        if ask.dry_run {
            self.addresses.unclaim(&addresses, &before);
        } else {
            self.claim(ask, &choice, addresses.clone());
        }
        Ok(Plan {
            choice,
            addresses,
            wants_layer,
            expected_end_at: ask.ask.expected_end().map(Timestamp::of_minute),
            resources: ask.ask.resources.clone(),
            decision,
        })
    }

    /// What is seen of the policies that decided; a dry run is not shown to shadows.
    fn watch(&mut self, ask: &PlanAsk, seed: u64, outcome: &Outcome, (took, now): (u64, Timestamp)) {
        let hosts = self.policies.row(outcome.policy.policy);
        self.watching.saw(hosts, Seen::of_hosts(outcome), now);
        if !ask.ask.disks.is_empty() && outcome.candidates > 0 {
            let pools = self.policies.row(outcome.pool_policy.policy);
            self.watching
                .saw(pools, Seen::of_pools(&outcome.pool_policy), now);
        }
        if !ask.dry_run {
            self.watching
                .show(&self.inventory, (&ask.ask, seed), outcome, took);
        }
    }

    fn claim_addresses(
        &mut self,
        ask: &PlanAsk,
        before: &Positions,
    ) -> Result<Vec<(IpRangeId, Ipv4Addr)>, NoPlan> {
        let mut claimed: Vec<(IpRangeId, Ipv4Addr)> = Vec::with_capacity(ask.nics.len());
        for &(_, network, wanted) in &ask.nics {
            match self.addresses.claim(network, wanted) {
                Ok(address) => claimed.push(address),
                Err(none) => {
                    self.addresses.unclaim(&claimed, before);
                    return Err(match (none, wanted) {
                        (NoAddress::NotFree, Some(address)) => NoPlan::AddressTaken(network, address),
                        (NoAddress::InNoRange, Some(address)) => NoPlan::AddressInNoRange(network, address),
                        _ => NoPlan::NoAddress(network),
                    });
                }
            }
        }
        Ok(claimed)
    }

    /// A layer goes into the commit unless one is committed already: one that is only planned may never be.
    fn wants_layers(&self, ask: &PlanAsk, pools: &[PoolChoice]) -> Vec<bool> {
        let wants = |(disk, choice): (&DiskAsk, &PoolChoice)| {
            disk.template.is_some_and(|template| {
                let known = self.inventory.layer_of(choice.pool, template.id);
                known.is_none_or(|layer| !layer.committed)
            })
        };
        ask.ask.disks.iter().zip(pools).map(wants).collect()
    }

    fn claim(
        &mut self,
        ask: &PlanAsk,
        choice: &velum_placement::Choice,
        addresses: Vec<(IpRangeId, Ipv4Addr)>,
    ) {
        let claims = claims_for(ask, choice);
        self.hold(ask.run.uuid(), Tentative { claims, addresses });
    }

    fn hold(&mut self, key: Uuid, mut tentative: Tentative) {
        // What another plan claimed already (a layer) is not this one's to give back.
        tentative
            .claims
            .retain(|claim| self.inventory.apply(claim.clone()));
        self.tentative.insert(key, tentative);
    }

    fn plan_volume(&mut self, volume: VolumeId, disk: &DiskAsk) -> Result<VolumePlan, NoPlan> {
        let seed = self.parts.ids.seed();
        let mut pools = self.policies.take(self.pool_policy);
        let outcome = choose_pool(&self.inventory, disk, seed, &mut pools);
        self.policies.give(pools);
        let Some(choice) = outcome.choice else {
            return Err(match outcome.policy.failed {
                Some(failure) => NoPlan::PolicyFailed(failure),
                None => NoPlan::NoStorage(pool_refusals(&outcome)),
            });
        };
        let claim = Update::Volume(VolumeClaim {
            volume,
            pool: choice.pool,
            bytes: choice.bytes,
        });
        let tentative = Tentative {
            claims: vec![claim],
            addresses: Vec::new(),
        };
        self.hold(volume.uuid(), tentative);
        Ok(VolumePlan { choice })
    }
}

fn refusal(outcome: Outcome, decision: Box<velum_model::decision::Decision>) -> NoPlan {
    for used in [outcome.policy, outcome.pool_policy] {
        if let (Some(failure), Some(Fallback::Refuse)) = (used.failed, used.fallback) {
            return NoPlan::PolicyFailed(failure);
        }
    }
    NoPlan::NoCapacity(decision)
}
