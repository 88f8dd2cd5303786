//! A compute host as it is shown.

use std::collections::BTreeMap;

use velum_model::{
    Name,
    infrastructure::{ComputeHost, HostAbilities, HostState, Intent},
    port::hypervisor::registry,
    resource::Resources,
};
use velum_service::{Accepted, StoredAnswer};
use velum_wire::{ComputeHostView, HostAbilitiesView, HostResourceView};

use crate::answer;

/// A compute host as it is shown.
pub fn view(host: &ComputeHost) -> ComputeHostView {
    ComputeHostView {
        id: host.id.uuid(),
        zone_id: host.zone.uuid(),
        pod_id: host.pod.uuid(),
        cluster_id: host.cluster.uuid(),
        name: host.name.to_string(),
        driver_digest: host.driver.to_string(),
        config: host.config.clone(),
        node: host.node.clone(),
        endpoint: host.endpoint.clone(),
        private_address: host.private_address.map(|address| address.to_string()),
        vcpus: host.vcpus.get(),
        memory_mib: host.memory.get(),
        vcpus_ceiling: host.vcpus_ceiling,
        memory_ceiling_mib: host.memory_ceiling,
        vcpus_used: host.vcpus_used,
        memory_used_mib: host.memory_used,
        resources: host_resources(host),
        tags: texts(&host.tags),
        attributes: attributes(&host.attributes),
        intent: intent(host.intent),
        dedicated_to: host.dedicated_to.map(|id| id.uuid()),
        observed: match host.observed {
            HostState::Up => velum_wire::HostState::Up,
            HostState::Down => velum_wire::HostState::Down,
            HostState::Unknown => velum_wire::HostState::Unknown,
        },
        observed_at: host.observed_at.map(|at| at.to_string()),
        boot_id: host.boot_id.clone(),
        abilities: abilities(&host.abilities),
        generation: host.generation,
        created_at: host.created_at.to_string(),
    }
}

/// 202: an operation works on it.
pub fn accepted(accepted: &Accepted<ComputeHost>) -> StoredAnswer {
    let host = &accepted.resource;
    answer::accepted(accepted.operation, host.generation, &view(host))
}

fn abilities(abilities: &HostAbilities) -> HostAbilitiesView {
    HostAbilitiesView {
        arch: match abilities.arch {
            registry::ARCH_X86_64 => "x86-64".to_owned(),
            registry::ARCH_AARCH64 => "aarch64".to_owned(),
            other => other.to_string(),
        },
        attachment_kinds: abilities.attachment_kinds.clone(),
        nic_kinds: abilities.nic_kinds.clone(),
        console_kinds: abilities.console_kinds.clone(),
        interfaces: abilities.interfaces.clone(),
    }
}

/// Those that there are, and those that guests still have.
fn host_resources(host: &ComputeHost) -> BTreeMap<String, HostResourceView> {
    let there = host
        .resources
        .iter()
        .filter(|(_, of)| of.total > 0 || of.used > 0);
    let view = |total, used| HostResourceView { total, used };
    there
        .map(|(name, of)| (name.to_string(), view(of.total, of.used)))
        .collect()
}

/// What the operator wants of a compute host or a pool.
pub fn intent(intent: Intent) -> velum_wire::Intent {
    match intent {
        Intent::Enabled => velum_wire::Intent::Enabled,
        Intent::Disabled => velum_wire::Intent::Disabled,
        Intent::Maintenance => velum_wire::Intent::Maintenance,
    }
}

/// Names as texts.
pub fn texts(names: &[Name]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Amounts of countable resources with their names as texts.
pub fn resources(resources: &Resources) -> BTreeMap<String, u64> {
    resources
        .iter()
        .map(|(name, amount)| (name.to_string(), u64::from(*amount)))
        .collect()
}

/// Attributes with their names as texts.
pub fn attributes(attributes: &BTreeMap<Name, u32>) -> BTreeMap<String, u32> {
    attributes
        .iter()
        .map(|(name, value)| (name.to_string(), *value))
        .collect()
}
