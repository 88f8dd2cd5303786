//! The port of a storage provider. Mirrors `velum:storage`.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::target::{Attr, Call, Outcome, Target};
use crate::fault::Fault;

/// Codes of the open spaces of `velum:storage` and of attachments.
pub mod registry {
    /// Attachment: a file on the node.
    pub const ATTACH_FILE: u16 = 1;
    /// Attachment: a block device on the node.
    pub const ATTACH_BLOCK: u16 = 2;
    /// Attachment: NFS.
    pub const ATTACH_NFS: u16 = 3;
    /// Attachment: iSCSI.
    pub const ATTACH_ISCSI: u16 = 4;
    /// Attachment: NBD.
    pub const ATTACH_NBD: u16 = 5;
    /// Attachment: RBD.
    pub const ATTACH_RBD: u16 = 6;
    /// Attachment: the simulated far side.
    pub const ATTACH_SIMULATED: u16 = 0x8001;
    /// Format: raw.
    pub const FORMAT_RAW: u16 = 1;
    /// Format: qcow2.
    pub const FORMAT_QCOW2: u16 = 2;
    /// Parameter of an attachment: path (text).
    pub const PARAM_PATH: u16 = 1;
    /// Parameter: address and port of an iSCSI portal (text, `10.0.0.9:3260`).
    pub const PARAM_PORTAL: u16 = 2;
    /// Parameter: name of an iSCSI target (text).
    pub const PARAM_TARGET: u16 = 3;
    /// Parameter: number of the unit at its target (number).
    pub const PARAM_LUN: u16 = 4;
    /// Parameter: the user of the secret (text).
    pub const PARAM_USER: u16 = 5;
    /// Source of a volume: blank.
    pub const SOURCE_BLANK: u16 = 0;
    /// Source: a snapshot.
    pub const SOURCE_SNAPSHOT: u16 = 1;
    /// Source: another volume.
    pub const SOURCE_VOLUME: u16 = 2;
    /// Source: the image layer cached on this pool (clone of it).
    pub const SOURCE_LAYER: u16 = 3;
    /// Source: an image of the image store; makes the layer itself. With feature `FEATURE_FILLS_LAYERS` the provider
    /// fetches the bytes on its own, else they come by `publish` to the node's mover.
    pub const SOURCE_IMAGE: u16 = 4;
    /// Kind of an initiator: an iSCSI name.
    pub const INITIATOR_IQN: u16 = 1;
    /// Mode of a consumer: read and write.
    pub const MODE_RW: u16 = 1;
    /// Mode: read only.
    pub const MODE_RO: u16 = 2;
    /// Mode: read and write beside another node, while a guest moves.
    pub const MODE_RW_MOVING: u16 = 3;
    /// Mode: the node's mover.
    pub const MODE_MOVER: u16 = 4;
    /// Feature: volumes are thin.
    pub const FEATURE_THIN: u16 = 1;
    /// Feature: a clone does not depend on its source.
    pub const FEATURE_CLONE_INDEPENDENT: u16 = 2;
    /// Feature: the provider fills image layers on its own.
    pub const FEATURE_FILLS_LAYERS: u16 = 3;
    /// Attribute of `volume-spec` for `SOURCE_IMAGE`: the image's reference in its image store (text).
    pub const SPEC_IMAGE_REF: u16 = 1;
    /// State of a volume: not known.
    pub const STATE_UNKNOWN: u16 = 0;
    /// State: ready.
    pub const STATE_READY: u16 = 1;
    /// State: being made.
    pub const STATE_CREATING: u16 = 2;
    /// Attribute of `done` from `create`: the provider's own name of the volume (text).
    pub const DONE_BACKEND_ID: u16 = 1;
}

/// How a compute host reaches a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// See [`registry`].
    pub kind: u16,
    /// See [`registry`].
    pub format: u16,
    /// WWID, NGUID, serial or uuid; unique over all providers.
    pub identity: String,
    /// The size that the guest sees.
    pub size_bytes: u64,
    /// Parameters by code.
    pub params: Vec<Attr>,
    /// Name of a secret held by the server.
    pub secret: Option<String>,
}

/// IQN, NQN, WWPN or address of a compute host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Initiator {
    /// 1 IQN, 2 NQN, 3 WWPN, 4 address.
    pub kind: u16,
    /// The name.
    pub value: String,
}

/// A volume by both its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VolumeRef {
    /// Ours; findable at the backend.
    pub id: Uuid,
    /// The provider's own; unique in its pool.
    pub backend_id: String,
}

/// What a new volume begins as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// See [`registry`].
    pub kind: u16,
    /// What it is cloned from.
    pub of: Option<VolumeRef>,
}

/// A volume to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// Our id.
    pub id: Uuid,
    /// The size that a guest will see.
    pub size_bytes: u64,
    /// See [`registry`].
    pub format: u16,
    /// What it begins as.
    pub source: Source,
    /// Open attributes.
    pub attrs: Vec<Attr>,
}

/// What a backend says of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeInfo {
    /// Its names.
    pub volume: VolumeRef,
    /// The size that a guest sees.
    pub size_bytes: u64,
    /// What it occupies.
    pub allocated_bytes: Option<u64>,
    /// The provider's name of what it depends on.
    pub parent: Option<String>,
    /// See [`registry`].
    pub state: u16,
    /// Compute hosts that it is published to.
    pub published: Vec<String>,
}

/// A page of volumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumePage {
    /// The volumes.
    pub volumes: Vec<VolumeInfo>,
    /// Whether everything that belongs on this page was seen.
    pub complete: bool,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// Who is to reach a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// Our id of the compute host.
    pub node: Uuid,
    /// How storage sees it.
    pub initiators: Vec<Initiator>,
    /// See [`registry`].
    pub mode: u16,
}

/// What a pool holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// All of it.
    pub capacity_bytes: u64,
    /// What is free.
    pub free_bytes: u64,
}

/// What a provider can do for a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderDescriptor {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How its volumes can be reached.
    pub attachment_kinds: Vec<u16>,
    /// Formats it keeps.
    pub formats: Vec<u16>,
    /// Sizes are multiples of this.
    pub granularity_bytes: u64,
    /// The smallest volume.
    pub min_bytes: u64,
    /// The largest volume.
    pub max_bytes: u64,
    /// The most volumes; 0 = no bound.
    pub max_volumes: u32,
    /// See [`registry`].
    pub features: Vec<u16>,
}

/// A storage provider. Every changing call is idempotent by `call.effect.id`.
#[async_trait]
pub trait StorageProvider: Send + Sync {
    /// What it can do for this pool.
    async fn describe(&self, pool: &Target) -> Result<ProviderDescriptor, Fault>;
    /// Whether the pool works, and its space.
    async fn probe(&self, pool: &Target) -> Result<Space, Fault>;
    /// Makes a volume; `Done` carries [`registry::DONE_BACKEND_ID`].
    async fn create(&self, call: &Call, spec: &VolumeSpec) -> Result<Outcome, Fault>;
    /// Removes it; done when it is gone or never was.
    async fn delete(&self, call: &Call, volume: &VolumeRef) -> Result<Outcome, Fault>;
    /// Makes it larger.
    async fn expand(&self, call: &Call, volume: &VolumeRef, size_bytes: u64) -> Result<Outcome, Fault>;
    /// Makes it reachable from one node.
    async fn publish(&self, call: &Call, volume: &VolumeRef, to: &Consumer) -> Result<Outcome, Fault>;
    /// Ends that.
    async fn unpublish(&self, call: &Call, volume: &VolumeRef, node: Uuid) -> Result<Outcome, Fault>;
    /// How a node reaches it; none when it is not published there.
    async fn reached_by(
        &self,
        pool: &Target,
        volume: &VolumeRef,
        node: Uuid,
    ) -> Result<Option<Attachment>, Fault>;
    /// By our id: how recovery finds what a lost answer made.
    async fn find(&self, pool: &Target, id: Uuid) -> Result<Option<VolumeInfo>, Fault>;
    /// A page of all volumes with our owner tag.
    async fn observe(&self, pool: &Target, after: Option<&str>) -> Result<VolumePage, Fault>;
    /// How long work goes on.
    async fn poll(&self, call: &Call, token: &str) -> Result<Outcome, Fault>;
    /// Ends long work.
    async fn cancel(&self, call: &Call, token: &str) -> Result<Outcome, Fault>;
}
