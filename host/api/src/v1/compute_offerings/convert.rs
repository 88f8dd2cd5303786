//! Bodies about compute offerings, checked.

use velum_model::{Id, resource::OFFERING_RESOURCES_MAX};
use velum_service::{ChangeComputeOffering, NewComputeOffering};
use velum_wire::{CreateComputeOfferingBody, UpdateComputeOfferingBody};

use crate::{error::Answered, take::Fields};

/// A compute offering to be made.
pub fn new(body: CreateComputeOfferingBody) -> Answered<NewComputeOffering> {
    let mut fields = Fields::new();
    let name = fields.name("/name", body.name);
    let vcpus = fields.quantity("/vcpus", body.vcpus);
    let memory = fields.quantity("/memory_mib", body.memory_mib);
    let resources = fields.resources("/resources", body.resources, OFFERING_RESOURCES_MAX);
    let host_tags = fields.names("/host_tags", body.host_tags);
    let storage_tags = fields.names("/storage_tags", body.storage_tags);
    let expected_lifetime = fields.quantity_if("/expected_lifetime_s", body.expected_lifetime_s);
    let new = match (name, vcpus, memory.zip(resources), host_tags.zip(storage_tags)) {
        (Some(name), Some(vcpus), Some((memory, resources)), Some((host_tags, storage_tags))) => {
            Some(NewComputeOffering {
                name,
                vcpus,
                memory,
                resources,
                host_tags,
                storage_tags,
                policy: body.policy_id.map(Id::from_uuid),
                expected_lifetime,
            })
        }
        _ => None,
    };
    fields.answer(new)
}

/// What is to change of one.
pub fn change(body: UpdateComputeOfferingBody) -> Answered<ChangeComputeOffering> {
    let mut fields = Fields::new();
    let change = ChangeComputeOffering {
        name: fields.name_if("/name", body.name),
        host_tags: fields.names_if("/host_tags", body.host_tags),
        storage_tags: fields.names_if("/storage_tags", body.storage_tags),
        policy: body.policy_id.map(|id| id.map(Id::from_uuid)),
        expected_lifetime: body
            .expected_lifetime_s
            .map(|seconds| fields.quantity_if("/expected_lifetime_s", seconds)),
    };
    fields.answer(Some(change))
}
