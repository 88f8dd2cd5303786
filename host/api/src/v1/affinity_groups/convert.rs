//! Bodies about affinity groups, checked.

use velum_model::{
    Id,
    affinity::{AffinityKind, AffinityLevel, AffinityStrength},
};
use velum_service::{ChangeAffinityGroup, NewAffinityGroup};
use velum_wire::{CreateAffinityGroupBody, UpdateAffinityGroupBody};

use crate::{error::Answered, take::Fields};

/// An affinity group to be made.
pub fn new(body: CreateAffinityGroupBody) -> Answered<NewAffinityGroup> {
    let mut fields = Fields::new();
    let name = fields.name("/name", body.name);
    let description = fields.line("/description", body.description);
    let new = name.zip(description).map(|(name, description)| NewAffinityGroup {
        zone: Id::from_uuid(body.zone_id),
        name,
        description,
        kind: kind(body.kind),
        strength: match body.strength {
            velum_wire::AffinityStrength::Required => AffinityStrength::Required,
            velum_wire::AffinityStrength::Preferred => AffinityStrength::Preferred,
        },
        level: match body.level {
            velum_wire::AffinityLevel::ComputeHost => AffinityLevel::ComputeHost,
            velum_wire::AffinityLevel::Pod => AffinityLevel::Pod,
        },
    });
    fields.answer(new)
}

/// What is to change of one.
pub fn change(body: UpdateAffinityGroupBody) -> Answered<ChangeAffinityGroup> {
    let mut fields = Fields::new();
    let name = fields.name_if("/name", body.name);
    let description = match body.description {
        Some(text) => fields.line("/description", text).map(Some),
        None => Some(None),
    };
    fields.answer(description.map(|description| ChangeAffinityGroup { name, description }))
}

/// Which way it draws.
pub const fn kind(kind: velum_wire::AffinityKind) -> AffinityKind {
    match kind {
        velum_wire::AffinityKind::Affinity => AffinityKind::Affinity,
        velum_wire::AffinityKind::AntiAffinity => AffinityKind::AntiAffinity,
    }
}
