//! A volume as it is shown.

use velum_model::storage::{Volume, VolumeState, VolumeUse};
use velum_service::{Accepted, StoredAnswer};
use velum_wire::{VolumeAttachmentView, VolumeKind, VolumeView};

use crate::answer;

/// A volume as it is shown.
pub fn view(volume: &Volume) -> VolumeView {
    VolumeView {
        id: volume.id.uuid(),
        zone_id: volume.zone.uuid(),
        project_id: volume.project.uuid(),
        name: volume.name.to_string(),
        kind: match volume.used_as {
            VolumeUse::Root => VolumeKind::Root,
            VolumeUse::Data => VolumeKind::Data,
        },
        disk_offering_id: volume.offering.map(|id| id.uuid()),
        storage_pool_id: volume.pool.uuid(),
        size_bytes: volume.size.get(),
        state: match volume.state {
            VolumeState::Creating => velum_wire::VolumeState::Creating,
            VolumeState::Ready => velum_wire::VolumeState::Ready,
            VolumeState::Deleting => velum_wire::VolumeState::Deleting,
        },
        attachment: volume.attachment.map(|at| VolumeAttachmentView {
            instance_id: at.instance.uuid(),
            slot: at.slot,
        }),
        generation: volume.generation,
        created_at: volume.created_at.to_string(),
    }
}

/// 202: an operation works on it.
pub fn accepted(accepted: &Accepted<Volume>) -> StoredAnswer {
    let volume = &accepted.resource;
    answer::accepted(accepted.operation, volume.generation, &view(volume))
}
