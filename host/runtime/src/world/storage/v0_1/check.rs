//! What a provider answers, before it is believed.

use std::collections::HashSet;

use uuid::Uuid;
use velum_model::port::{
    Outcome,
    storage::{ProviderDescriptor, Space, VolumeInfo, VolumePage, VolumeRef, registry},
    target::AttrValue,
};

use crate::world::{
    bindings::velum::{common::types as wit, storage::types},
    convert::{self, Checked, at_most, text, words},
};

/// Volumes on one page: a page is in memory twice.
const MAX_VOLUMES: usize = 5000;
/// Bytes of a provider's own name of a volume; it is a column of a row.
const MAX_BACKEND_ID: usize = 512;
/// Codes in one list of a descriptor.
const MAX_CODES: usize = 64;

/// What it can do.
pub fn descriptor(from: types::Descriptor) -> Checked<ProviderDescriptor> {
    for (field, codes) in [
        ("attachment-kinds", &from.attachment_kinds),
        ("formats", &from.formats),
        ("features", &from.features),
    ] {
        at_most(field, codes.len(), MAX_CODES)?;
    }
    if from.granularity_bytes == 0 || from.min_bytes > from.max_bytes || from.max_bytes == 0 {
        return Err(format!(
            "sizes from {} to {} in steps of {} are none",
            from.min_bytes, from.max_bytes, from.granularity_bytes
        ));
    }
    Ok(ProviderDescriptor {
        name: text("name", from.name, 63)?,
        version: text("version", from.version, 64)?,
        attachment_kinds: from.attachment_kinds,
        formats: from.formats,
        granularity_bytes: from.granularity_bytes,
        min_bytes: from.min_bytes,
        max_bytes: from.max_bytes,
        max_volumes: from.max_volumes,
        features: from.features,
    })
}

/// The space of a pool.
pub fn space(from: types::Space) -> Checked<Space> {
    if from.free_bytes > from.capacity_bytes {
        return Err(format!(
            "{} bytes are free of {}",
            from.free_bytes, from.capacity_bytes
        ));
    }
    Ok(Space {
        capacity_bytes: from.capacity_bytes,
        free_bytes: from.free_bytes,
    })
}

/// What `create` answers: done carries the provider's own name of the volume.
pub fn created(from: wit::Outcome) -> Checked<Outcome> {
    let outcome = convert::outcome(from)?;
    if let Outcome::Done(attrs) = &outcome {
        let named = attrs
            .iter()
            .find_map(|attr| match (&attr.value, attr.code) {
                (AttrValue::Text(name), registry::DONE_BACKEND_ID) => Some(name.clone()),
                _ => None,
            })
            .ok_or("done carries no backend id (1, text)")?;
        text("done: backend id", named, MAX_BACKEND_ID)?;
    }
    Ok(outcome)
}

/// The volume that was asked for.
pub fn found(id: Uuid, from: Option<types::VolumeInfo>) -> Checked<Option<VolumeInfo>> {
    let Some(seen) = from.map(info).transpose()? else {
        return Ok(None);
    };
    if seen.volume.id == id {
        Ok(Some(seen))
    } else {
        Err(format!("it answers for volume {} and not {id}", seen.volume.id))
    }
}

/// A page of volumes.
pub fn page(after: Option<&str>, from: types::VolumePage) -> Checked<VolumePage> {
    at_most("volumes", from.volumes.len(), MAX_VOLUMES)?;
    let volumes = from.volumes.into_iter().map(info).collect::<Checked<Vec<_>>>()?;
    let mut seen = HashSet::with_capacity(volumes.len());
    if let Some(twice) = volumes
        .iter()
        .find(|info| !seen.insert(info.volume.backend_id.as_str()))
    {
        return Err(format!("volume {} is listed twice", twice.volume.id));
    }
    Ok(VolumePage {
        complete: from.complete,
        next: convert::next(after, from.next)?,
        volumes,
    })
}

fn info(from: types::VolumeInfo) -> Checked<VolumeInfo> {
    at_most("published", from.published.len(), 1000)?;
    let published = from
        .published
        .into_iter()
        .map(|node| text("published", node, 64))
        .collect::<Checked<_>>()?;
    Ok(VolumeInfo {
        volume: VolumeRef {
            id: convert::uuid("volume.id", &from.volume.id)?,
            backend_id: text("volume.backend-id", from.volume.backend_id, MAX_BACKEND_ID)?,
        },
        size_bytes: from.size_bytes,
        allocated_bytes: from.allocated_bytes,
        parent: from
            .parent
            .map(|parent| words("parent", parent, MAX_BACKEND_ID))
            .transpose()?,
        state: from.state,
        published,
    })
}
