//! Volumes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Where a volume is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeKind {
    /// It boots from it, and it goes with it.
    Root,
    /// It lives on its own.
    Data,
}

/// A volume in a slot of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeAttachmentView {
    /// The instance.
    pub instance_id: Uuid,
    /// The slot; root is 0.
    pub slot: u16,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeView {
    /// Its id.
    pub id: Uuid,
    /// Its zone.
    pub zone_id: Uuid,
    /// Its owner.
    pub project_id: Uuid,
    /// Unique in its project and zone.
    pub name: String,
    /// Root or data.
    pub kind: VolumeKind,
    /// Its offering, of a data volume.
    pub disk_offering_id: Option<Uuid>,
    /// Its pool.
    pub storage_pool_id: Uuid,
    /// Its size, bytes.
    pub size_bytes: u64,
    /// Where it is in its life.
    pub state: VolumeState,
    /// Which instance has it; null when none.
    pub attachment: Option<VolumeAttachmentView>,
    /// Grows with every change; the ETag.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A data volume to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateVolumeBody {
    /// Its zone.
    pub zone_id: Uuid,
    /// Unique in its project and zone.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// Its shape.
    pub disk_offering_id: Uuid,
    /// Its size, bytes; for an offering that leaves it open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1125899906842624_u64)]
    pub size_bytes: Option<u64>,
}

/// Whom to give a volume to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachVolumeBody {
    /// The instance; running or stopped.
    pub instance_id: Uuid,
}
