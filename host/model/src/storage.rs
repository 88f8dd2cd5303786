//! Templates, volumes, layers, publications.

use serde::{Deserialize, Serialize};

use crate::{
    id::*,
    name::Name,
    port::storage::{Attachment, VolumeRef},
    quantity::Bytes,
    time::Timestamp,
};

/// Formats that a template may have. Always forced, never probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageFormat {
    /// The bytes of the disk.
    Raw,
    /// QEMU's format, without backing or data file.
    Qcow2,
}

impl ImageFormat {
    /// The code of the contracts.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Raw => crate::port::storage::registry::FORMAT_RAW,
            Self::Qcow2 => crate::port::storage::registry::FORMAT_QCOW2,
        }
    }
}

/// The life of a template.
///
/// ```text
/// Uploading ──all bytes there──▶ Registering ──inspected──▶ Ready ──delete──▶ Deleting ─▶ (gone)
///     └───────────── delete ──────────┴── refused ──▶ Failed ──delete──▶ Deleting
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TemplateState {
    /// Bytes are still awaited.
    Uploading,
    /// An operation checks and converts it.
    Registering,
    /// It can be used.
    Ready,
    /// It was refused; the reason names what is wrong with the image.
    Failed(String),
    /// An operation removes it.
    Deleting,
}

/// An image that root volumes are cloned from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its id.
    pub id: TemplateId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its owner.
    pub project: ProjectId,
    /// Its image store.
    pub image_store: ImageStoreId,
    /// Unique in its project and zone.
    pub name: Name,
    /// The format of the upload.
    pub format: ImageFormat,
    /// The length of the upload.
    pub upload_bytes: Bytes,
    /// Bytes that arrived.
    pub received_bytes: u64,
    /// SHA-256 of the upload, hexadecimal, as promised.
    pub sha256: String,
    /// Where it is in its life.
    pub state: TemplateState,
    /// The size that a guest sees; known when ready.
    pub virtual_bytes: Option<u64>,
    /// The store's name of it; known when ready.
    pub reference: Option<String>,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The life of a volume.
///
/// ```text
/// Creating ──made──▶ Ready ──delete──▶ Deleting ─▶ (gone)
///     └─ undone ─▶ (gone)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeState {
    /// An operation makes it.
    Creating,
    /// It is there.
    Ready,
    /// An operation removes it.
    Deleting,
}

/// What a volume is to its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeUse {
    /// It boots from it; slot 0, dies with it.
    Root,
    /// It lives on its own.
    Data,
}

/// A volume. Its attachment (one writer) is a relation of its own, as is each publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its id.
    pub id: VolumeId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its owner.
    pub project: ProjectId,
    /// Unique in its project and zone.
    pub name: Name,
    /// Root or data.
    pub used_as: VolumeUse,
    /// Its offering (data volumes).
    pub offering: Option<DiskOfferingId>,
    /// Its pool; its size is claimed there.
    pub pool: StoragePoolId,
    /// Its size.
    pub size: Bytes,
    /// The layer that it was cloned from (RESTRICT).
    pub parent: Option<LayerId>,
    /// The provider's name of it; known when ready.
    pub backend_id: Option<String>,
    /// Where it is in its life.
    pub state: VolumeState,
    /// Which instance has it, in which slot.
    pub attachment: Option<VolumeAttachment>,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Volume {
    /// Both its names, once the provider has given one.
    #[must_use]
    pub fn reference(&self) -> Option<VolumeRef> {
        self.backend_id.clone().map(|backend_id| VolumeRef {
            id: self.id.uuid(),
            backend_id,
        })
    }
}

/// A volume in a slot of an instance: one writer, by a unique index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VolumeAttachment {
    /// The instance.
    pub instance: InstanceId,
    /// The slot; root is 0.
    pub slot: u16,
}

/// A volume made reachable from one compute host for one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The volume.
    pub volume: VolumeId,
    /// The compute host.
    pub compute_host: ComputeHostId,
    /// The run that wants it.
    pub run: RunId,
    /// How it is reached; known when published.
    pub attachment: Option<Attachment>,
}

/// What a pool holds of a template: UNIQUE(pool, template), so that a cache fill happens once for many waiting creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its id.
    pub id: LayerId,
    /// Its pool; its size is claimed there.
    pub pool: StoragePoolId,
    /// Its template.
    pub template: TemplateId,
    /// Its size.
    pub size: Bytes,
    /// The provider's name of it; known when ready.
    pub backend_id: Option<String>,
    /// Whether it can be cloned.
    pub ready: bool,
    /// When it was made.
    pub created_at: Timestamp,
}
