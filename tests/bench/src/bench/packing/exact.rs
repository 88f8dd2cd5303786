//! The tightest fit by a plain scan: what the planner is held against. It shares no code with it.

use std::collections::HashMap;

use velum_placement::load::{Guest, Shape};

use super::{HOST, Packer};

/// See the module.
pub struct Exact {
    /// vCPUs and MiB that are free, by compute host.
    free: Vec<(u32, u64)>,
    guests: HashMap<u64, (usize, Shape)>,
}

impl Exact {
    /// Empty compute hosts.
    #[must_use]
    pub fn new(hosts: u32) -> Self {
        Self {
            free: vec![HOST; hosts as usize],
            guests: HashMap::new(),
        }
    }
}

impl Packer for Exact {
    fn take(&mut self, guest: &Guest) -> anyhow::Result<bool> {
        let shape = guest.shape;
        // What would be left, as shares of the host: the least wins, and of equals the first.
        let left = |(vcpus, memory): (u32, u64)| {
            f64::from(vcpus - shape.vcpus) / f64::from(HOST.0)
                + (memory - shape.memory_mib) as f64 / HOST.1 as f64
        };
        let tightest = self
            .free
            .iter()
            .enumerate()
            .filter(|(_, free)| free.0 >= shape.vcpus && free.1 >= shape.memory_mib)
            .min_by(|(_, one), (_, other)| left(**one).total_cmp(&left(**other)))
            .map(|(host, _)| host);
        let Some(host) = tightest else { return Ok(false) };
        if let Some(free) = self.free.get_mut(host) {
            free.0 -= shape.vcpus;
            free.1 -= shape.memory_mib;
        }
        self.guests.insert(guest.number, (host, shape));
        Ok(true)
    }

    fn leave(&mut self, number: u64) {
        let Some((host, shape)) = self.guests.remove(&number) else {
            return;
        };
        if let Some(free) = self.free.get_mut(host) {
            free.0 += shape.vcpus;
            free.1 += shape.memory_mib;
        }
    }

    fn empty(&self) -> usize {
        self.free.iter().filter(|free| **free == HOST).count()
    }
}
