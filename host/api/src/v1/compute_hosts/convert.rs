//! Bodies about compute hosts, checked.

use velum_model::{
    Id,
    infrastructure::{HostState, Intent},
    resource::HOST_RESOURCES_MAX,
};
use velum_service::{ChangeComputeHost, NewComputeHost};
use velum_wire::{CreateComputeHostBody, SettableIntent, UpdateComputeHostBody};

use crate::{error::Answered, take::Fields};

/// A compute host to be registered.
pub fn new(body: CreateComputeHostBody) -> Answered<NewComputeHost> {
    let mut fields = Fields::new();
    let name = fields.name("/name", body.name);
    let config = fields.config("/config", body.config);
    let node = fields.text_if("/node", body.node);
    let endpoint = fields.text_if("/endpoint", body.endpoint);
    let private_address = fields.address_if("/private_address", body.private_address.as_deref());
    let vcpus = fields.quantity_if("/vcpus", body.vcpus);
    let memory = fields.quantity_if("/memory_mib", body.memory_mib);
    let resources = fields.resources("/resources", body.resources, HOST_RESOURCES_MAX);
    let tags = fields.names("/tags", body.tags);
    let attributes = fields.attributes("/attributes", body.attributes);
    let new = match (name, config, tags, attributes.zip(resources)) {
        (Some(name), Some(config), Some(tags), Some((attributes, resources))) => Some(NewComputeHost {
            cluster: Id::from_uuid(body.cluster_id),
            name,
            config,
            node,
            endpoint,
            private_address,
            vcpus,
            memory,
            resources,
            tags,
            attributes,
        }),
        _ => None,
    };
    fields.answer(new)
}

/// What is to change of one.
pub fn change(body: UpdateComputeHostBody) -> Answered<ChangeComputeHost> {
    let mut fields = Fields::new();
    let change = ChangeComputeHost {
        name: fields.name_if("/name", body.name),
        enabled: body.intent.map(is_enabled),
        tags: fields.names_if("/tags", body.tags),
        attributes: fields.attributes_if("/attributes", body.attributes),
        config: fields.config_if("/config", body.config),
        vcpus: fields.quantity_if("/vcpus", body.vcpus),
        memory: fields.quantity_if("/memory_mib", body.memory_mib),
        resources: body
            .resources
            .and_then(|resources| fields.resources("/resources", resources, HOST_RESOURCES_MAX)),
        dedicated_to: body.dedicated_to.map(|to| to.map(Id::from_uuid)),
    };
    fields.answer(Some(change))
}

/// Whether new guests or volumes are to be taken.
pub const fn is_enabled(intent: SettableIntent) -> bool {
    matches!(intent, SettableIntent::Enabled)
}

/// What the operator wants of a compute host or a pool.
pub const fn intent(intent: velum_wire::Intent) -> Intent {
    match intent {
        velum_wire::Intent::Enabled => Intent::Enabled,
        velum_wire::Intent::Disabled => Intent::Disabled,
        velum_wire::Intent::Maintenance => Intent::Maintenance,
    }
}

/// What is seen of a compute host.
pub const fn host_state(state: velum_wire::HostState) -> HostState {
    match state {
        velum_wire::HostState::Up => HostState::Up,
        velum_wire::HostState::Down => HostState::Down,
        velum_wire::HostState::Unknown => HostState::Unknown,
    }
}
