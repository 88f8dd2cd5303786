//! A compute offering as it is shown.

use velum_model::infrastructure::ComputeOffering;
use velum_wire::ComputeOfferingView;

use crate::v1::compute_hosts::view::{resources, texts};

/// A compute offering as it is shown.
pub fn view(offering: &ComputeOffering) -> ComputeOfferingView {
    ComputeOfferingView {
        id: offering.id.uuid(),
        name: offering.name.to_string(),
        vcpus: offering.vcpus.get(),
        memory_mib: offering.memory.get(),
        resources: resources(&offering.resources),
        host_tags: texts(&offering.host_tags),
        storage_tags: texts(&offering.storage_tags),
        policy_id: offering.policy.map(|id| id.uuid()),
        expected_lifetime_s: offering.expected_lifetime.map(u64::from),
        generation: offering.generation,
        created_at: offering.created_at.to_string(),
    }
}
