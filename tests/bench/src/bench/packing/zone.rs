//! The planner's own way: an inventory in memory, filters, a policy, and the claim that the next decision sees.

use std::collections::BTreeMap;

use super::{HOST, Packer};
use uuid::Uuid;
use velum_model::{
    Id,
    infrastructure::{HostState, Intent},
    plugin::{Digest, Fallback},
    quantity::{ExpectedLifetime, MemoryMib, Vcpus},
};
use velum_placement::{
    Ask, HostRow, Inventory, Placer, PolicyLabel, Ranker, RunClaim, Update, Wanted, load::Guest,
};

/// Whose the guests are, in turns.
const PROJECTS: u64 = 20;
/// Compute hosts of a rack.
const RACK: u64 = 40;

/// See the module.
pub struct Planned {
    inventory: Inventory,
    placer: Placer,
    hosts: Ranker,
    pools: Ranker,
    count: u32,
    asks: u64,
}

fn id<Of>(kind: u128, number: u64) -> Id<Of> {
    Id::from_uuid(Uuid::from_u128((kind << 64) | u128::from(number)))
}

/// How a component is called in decisions.
#[must_use]
pub fn label(name: &str, digest: &Digest) -> PolicyLabel {
    PolicyLabel {
        name: name.to_owned(),
        digest: Some(digest.clone()),
        fallback: Fallback::Refuse,
        ..PolicyLabel::built_in()
    }
}

impl Planned {
    /// Empty compute hosts under a policy.
    ///
    /// # Errors
    /// None, as long as the constants are quantities.
    pub fn new(hosts: u32, ranker: Ranker) -> anyhow::Result<Self> {
        let mut inventory = Inventory::default();
        for number in 0..u64::from(hosts) {
            inventory.apply(Update::Host(Box::new(HostRow {
                id: id(1, number),
                pod: id(2, number / RACK),
                cluster: id(3, 1),
                vcpus: HOST.0,
                memory_mib: HOST.1,
                resources: BTreeMap::new(),
                arch: 1,
                nic_kinds: vec![1],
                attachment_kinds: vec![1],
                tags: Vec::new(),
                attributes: BTreeMap::new(),
                intent: Intent::Enabled,
                observed: HostState::Up,
            })));
        }
        Ok(Self {
            inventory,
            placer: Placer::default(),
            hosts: ranker,
            pools: Ranker::built_in(),
            count: hosts,
            asks: 0,
        })
    }

    fn ask(&self, guest: &Guest) -> anyhow::Result<Ask> {
        // What lives for less than a minute is expected to live for one.
        let seconds = guest
            .expected_lifetime_s
            .map(|s| s.clamp(ExpectedLifetime::MIN, ExpectedLifetime::MAX));
        Ok(Ask {
            instance: id(5, guest.number),
            project: id(6, guest.number % PROJECTS),
            vcpus: Vcpus::new(u64::from(guest.shape.vcpus))?,
            memory: MemoryMib::new(guest.shape.memory_mib)?,
            resources: BTreeMap::new(),
            arch: None,
            expected_lifetime: seconds.map(ExpectedLifetime::new).transpose()?,
            now_minute: (guest.at_ms / 60_000) as u32,
            host_tags: Vec::new(),
            nic_kinds: vec![1],
            disks: Vec::new(),
            pinned: Vec::new(),
            excluded: Vec::new(),
            previous: None,
            ties: Vec::new(),
            ending: None,
        })
    }
}

impl Packer for Planned {
    fn take(&mut self, guest: &Guest) -> anyhow::Result<bool> {
        let ask = self.ask(guest)?;
        self.asks += 1;
        let rankers = (&mut self.hosts, &mut self.pools);
        let outcome = self
            .placer
            .choose(&self.inventory, &ask, self.asks, rankers, Wanted::LEAST);
        if let Some(failure) = outcome.policy.failed {
            anyhow::bail!("the policy {} failed: {failure}", outcome.policy.name);
        }
        let Some(choice) = outcome.choice else {
            return Ok(false);
        };
        self.inventory.apply(Update::Run(RunClaim {
            run: id(7, guest.number),
            host: choice.host,
            project: ask.project,
            vcpus: ask.vcpus.get(),
            memory_mib: ask.memory.get(),
            expected_end: ask.expected_end(),
        }));
        Ok(true)
    }

    fn leave(&mut self, number: u64) {
        self.inventory.apply(Update::RunGone(id(7, number)));
    }

    fn empty(&self) -> usize {
        (0..u64::from(self.count))
            .filter(|&number| self.inventory.used_of(id(1, number)) == Some((0, 0)))
            .count()
    }
}
