//! The built-in policies: what ranks when nobody named a policy, and when one failed.

use velum_model::port::placement::registry;

use crate::{ask::Ask, inventory::Inventory, row::Row};

/// Half of the score that a host loses by being empty afterwards, for each of vCPUs and memory.
const FULL: u64 = 1 << 20;

/// Best fit: the compute host that is fullest afterwards, vCPUs and memory alike. Large holes stay large.
pub(crate) fn score_host(inventory: &Inventory, ask: &Ask, row: Row) -> u32 {
    let hosts = &inventory.hosts;
    let at = |column: &[u64]| column.get(row as usize).copied().unwrap_or(0);
    let left = |free: u64, wanted: u64, limit: u64| free.saturating_sub(wanted) * FULL / limit.max(1);
    let vcpus = left(
        hosts.free_vcpus(row),
        u64::from(ask.vcpus.get()),
        at(&hosts.vcpus_limit),
    );
    let memory = left(hosts.free_memory(row), ask.memory.get(), at(&hosts.memory_limit));
    (2 * FULL).saturating_sub(vcpus + memory) as u32
}

/// The pool with the most free space, in MiB, wins.
pub(crate) fn score_pool(inventory: &Inventory, row: Row) -> u32 {
    let mib = inventory.pools.free(row) >> 20;
    mib.min(u64::from(registry::REFUSE) - 1) as u32
}
