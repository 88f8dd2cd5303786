//! Bodies about pods, checked.

use velum_model::Id;
use velum_service::{ChangePod, NewPod};
use velum_wire::{CreatePodBody, UpdatePodBody};

use crate::{error::Answered, take::Fields};

/// A pod to be made.
pub fn new(body: CreatePodBody) -> Answered<NewPod> {
    let mut fields = Fields::new();
    let name = fields.name("/name", body.name);
    let cidr = fields.cidr("/cidr", &body.cidr);
    let gateway = fields.address("/gateway", &body.gateway);
    let new = match (name, cidr, gateway) {
        (Some(name), Some(cidr), Some(gateway)) => Some(NewPod {
            zone: Id::from_uuid(body.zone_id),
            name,
            cidr,
            gateway,
        }),
        _ => None,
    };
    fields.answer(new)
}

/// What is to change of one.
pub fn change(body: UpdatePodBody) -> Answered<ChangePod> {
    let mut fields = Fields::new();
    let name = fields.name_if("/name", body.name);
    fields.answer(Some(ChangePod {
        name,
        dedicated_to: body.dedicated_to.map(|to| to.map(Id::from_uuid)),
    }))
}
