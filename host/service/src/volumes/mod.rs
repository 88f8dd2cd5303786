//! Volumes.

mod attach;
mod create;
mod delete;

use velum_model::{
    Name,
    id::{DiskOfferingId, ZoneId},
    quantity::Bytes,
};

/// A data volume to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewVolume {
    /// Its zone.
    pub zone: ZoneId,
    /// Unique in its project and zone.
    pub name: Name,
    /// Its offering.
    pub offering: DiskOfferingId,
    /// Its size, where the offering leaves it open.
    pub size: Option<Bytes>,
}

/// Slots of an instance: root in 0, data volumes above. virtio-blk disks have letters vda to vdz.
pub const SLOTS: u16 = 26;
