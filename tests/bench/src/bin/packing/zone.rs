//! The planner's own way: an inventory in memory, filters, a policy, and the claim that the next decision sees.

use std::collections::BTreeMap;

use uuid::Uuid;
use velum_model::{
    Id,
    infrastructure::{HostState, Intent},
    plugin::{Digest, Fallback},
    quantity::{MemoryMib, Vcpus},
};
use velum_placement::{Ask, HostRow, Inventory, Placer, PolicyLabel, Ranker, RunClaim, Update, Wanted};
use velum_support::Shape;

use crate::{HOST, Packer};

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
                pod: id(2, number / 40),
                cluster: id(3, 1),
                vcpus: HOST.0,
                memory_mib: HOST.1,
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

    fn ask(&self, guest: usize, shape: Shape) -> Option<Ask> {
        Some(Ask {
            instance: id(5, guest as u64),
            project: id(6, 0),
            vcpus: Vcpus::new(u64::from(shape.vcpus)).ok()?,
            memory: MemoryMib::new(shape.memory_mib).ok()?,
            arch: None,
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
    fn take(&mut self, guest: usize, shape: Shape) -> bool {
        let Some(ask) = self.ask(guest, shape) else {
            return false;
        };
        self.asks += 1;
        let rankers = (&mut self.hosts, &mut self.pools);
        let outcome = self
            .placer
            .choose(&self.inventory, &ask, self.asks, rankers, Wanted::LEAST);
        let Some(choice) = outcome.choice else {
            return false;
        };
        self.inventory.apply(Update::Run(RunClaim {
            run: id(7, guest as u64),
            host: choice.host,
            project: ask.project,
            vcpus: shape.vcpus,
            memory_mib: shape.memory_mib,
        }));
        true
    }

    fn leave(&mut self, guest: usize) {
        self.inventory.apply(Update::RunGone(id(7, guest as u64)));
    }

    fn empty(&self) -> usize {
        (0..u64::from(self.count))
            .filter(|&number| self.inventory.used_of(id(1, number)) == Some((0, 0)))
            .count()
    }
}
