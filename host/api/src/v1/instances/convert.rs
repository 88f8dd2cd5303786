//! Bodies about instances, checked.

use base64::Engine as _;
use uuid::Uuid;
use velum_model::{
    AffinityGroupId, Id,
    affinity::AFFINITY_GROUPS_MAX,
    instance::{InstanceState, USER_DATA_MAX},
};
use velum_service::{NICS_MAX, NewInstance, NewInstances, NewNic};
use velum_wire::{CreateInstanceBody, CreateInstancesBody, NetworkChoiceBody};

use crate::{error::Answered, take::Fields};

/// An instance to be made.
pub fn new(body: CreateInstanceBody) -> Answered<NewInstance> {
    let mut fields = Fields::new();
    let name = fields.name("/name", body.name);
    let networks = networks(&mut fields, &body.networks);
    let root_size = fields.quantity_if("/root_size_bytes", body.root_size_bytes);
    let expected_lifetime = fields.quantity_if("/expected_lifetime_s", body.expected_lifetime_s);
    let user_data = user_data(&mut fields, body.user_data, body.user_data_base64);
    let affinity_groups = affinity_groups(&mut fields, &body.affinity_group_ids);
    let new = match (name, networks, affinity_groups, user_data) {
        (Some(name), Some(networks), Some(affinity_groups), Some(user_data)) => Some(NewInstance {
            zone: Id::from_uuid(body.zone_id),
            name,
            offering: Id::from_uuid(body.compute_offering_id),
            template: Id::from_uuid(body.template_id),
            networks,
            root_size,
            affinity_groups,
            user_data,
            expected_lifetime,
        }),
        _ => None,
    };
    fields.answer(new)
}

/// Instances to be made at once.
pub fn new_batch(body: CreateInstancesBody) -> Answered<NewInstances> {
    let zone_id = body.zone_id;
    let each = body.instances.into_iter().enumerate().map(|(n, one)| {
        let place = format!("/instances/{n}");
        new(one.in_zone(zone_id)).map_err(|refused| refused.within(&place))
    });
    Ok(NewInstances {
        zone: Id::from_uuid(zone_id),
        instances: each.collect::<Answered<_>>()?,
        all_or_nothing: body.all_or_nothing,
    })
}

fn affinity_groups(fields: &mut Fields, given: &[Uuid]) -> Option<Vec<AffinityGroupId>> {
    if given.len() > AFFINITY_GROUPS_MAX {
        let problem = format!(
            "has {} entries; at most {AFFINITY_GROUPS_MAX} are taken",
            given.len()
        );
        fields.refuse("/affinity_group_ids", problem);
        return None;
    }
    Some(given.iter().copied().map(Id::from_uuid).collect())
}

fn networks(fields: &mut Fields, given: &[NetworkChoiceBody]) -> Option<Vec<NewNic>> {
    if !(1..=NICS_MAX).contains(&given.len()) {
        fields.refuse(
            "/networks",
            format!("must have 1 to {NICS_MAX} entries, not {}", given.len()),
        );
        return None;
    }
    let mut nics = Vec::with_capacity(given.len());
    for (n, choice) in given.iter().enumerate() {
        let address = match choice.address.as_deref() {
            Some(text) => Some(fields.address(&format!("/networks/{n}/address"), text)?),
            None => None,
        };
        nics.push(NewNic {
            network: Id::from_uuid(choice.network_id),
            address,
        });
    }
    Some(nics)
}

fn user_data(fields: &mut Fields, text: Option<String>, base64: Option<String>) -> Option<Vec<u8>> {
    let (pointer, bytes) = match (text, base64) {
        (Some(_), Some(_)) => {
            fields.refuse(
                "/user_data_base64",
                "give user data as text or as base64, not both",
            );
            return None;
        }
        (None, None) => return Some(Vec::new()),
        (Some(text), None) => ("/user_data", text.into_bytes()),
        (None, Some(base64)) => match base64::engine::general_purpose::STANDARD.decode(base64) {
            Ok(bytes) => ("/user_data_base64", bytes),
            Err(error) => {
                fields.refuse("/user_data_base64", format!("is not base64: {error}"));
                return None;
            }
        },
    };
    if bytes.len() > USER_DATA_MAX {
        fields.refuse(
            pointer,
            format!("has {} bytes; at most {USER_DATA_MAX} are taken", bytes.len()),
        );
        return None;
    }
    Some(bytes)
}

/// Where an instance is in its life.
pub const fn state(state: velum_wire::InstanceState) -> InstanceState {
    match state {
        velum_wire::InstanceState::Creating => InstanceState::Creating,
        velum_wire::InstanceState::Starting => InstanceState::Starting,
        velum_wire::InstanceState::Running => InstanceState::Running,
        velum_wire::InstanceState::Stopping => InstanceState::Stopping,
        velum_wire::InstanceState::Stopped => InstanceState::Stopped,
        velum_wire::InstanceState::Rebooting => InstanceState::Rebooting,
        velum_wire::InstanceState::Destroying => InstanceState::Destroying,
        velum_wire::InstanceState::Failed => InstanceState::Failed,
    }
}
