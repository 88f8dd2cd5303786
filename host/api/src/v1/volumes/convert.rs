//! Bodies about volumes, checked.

use velum_model::{
    Id,
    storage::{VolumeState, VolumeUse},
};
use velum_service::NewVolume;
use velum_wire::{CreateVolumeBody, VolumeKind};

use crate::{error::Answered, take::Fields};

/// A data volume to be made.
pub fn new(body: CreateVolumeBody) -> Answered<NewVolume> {
    let mut fields = Fields::new();
    let size = fields.quantity_if("/size_bytes", body.size_bytes);
    let new = fields.name("/name", body.name).map(|name| NewVolume {
        zone: Id::from_uuid(body.zone_id),
        name,
        offering: Id::from_uuid(body.disk_offering_id),
        size,
    });
    fields.answer(new)
}

/// Where a volume is in its life.
pub const fn state(state: velum_wire::VolumeState) -> VolumeState {
    match state {
        velum_wire::VolumeState::Creating => VolumeState::Creating,
        velum_wire::VolumeState::Ready => VolumeState::Ready,
        velum_wire::VolumeState::Deleting => VolumeState::Deleting,
    }
}

/// What a volume is to its instance.
pub const fn kind(kind: VolumeKind) -> VolumeUse {
    match kind {
        VolumeKind::Root => VolumeUse::Root,
        VolumeKind::Data => VolumeUse::Data,
    }
}
