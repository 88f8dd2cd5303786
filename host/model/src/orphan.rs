//! What is at a far side and no row owns: left by an operation whose operator said that it was gone, by a crash of the
//! far side in the middle of something, by a database that was put back to an earlier day.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    chance::derived,
    id::{ComputeHostId, OrphanId, StoragePoolId},
    time::Timestamp,
};

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrphanKind {
    /// A guest on a compute host; its object is a run.
    Guest,
    /// A volume or a layer on a pool.
    Volume,
    /// A volume that a compute host reaches; its peer is the compute host.
    Publication,
    /// The seed of a run on a compute host.
    Seed,
}

impl OrphanKind {
    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Volume => "volume",
            Self::Publication => "publication",
            Self::Seed => "seed",
        }
    }
}

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrphanPlace {
    /// On a compute host.
    ComputeHost(ComputeHostId),
    /// On a storage pool.
    StoragePool(StoragePoolId),
}

impl OrphanPlace {
    /// The bare id of the place.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        match self {
            Self::ComputeHost(id) => id.uuid(),
            Self::StoragePool(id) => id.uuid(),
        }
    }
}

/// Something that no row owns, as often as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// Its id, which follows from what and where it is.
    pub id: OrphanId,
    /// What it is.
    pub kind: OrphanKind,
    /// Where.
    pub place: OrphanPlace,
    /// Our id of it, as the far side carries it.
    pub object: Uuid,
    /// Of a publication: the compute host that reaches the volume.
    pub peer: Option<ComputeHostId>,
    /// What the far side calls it.
    pub name: String,
    /// The generation that a guest was stamped with, else 0.
    pub generation: u64,
    /// When its row went. None: this database never had one, or forgot it; then it may be another's.
    pub removed_at: Option<Timestamp>,
    /// When it was first seen without a row.
    pub first_seen: Timestamp,
    /// When it was last seen so.
    pub last_seen: Timestamp,
    /// In how many complete observations of its place.
    pub observations: u32,
    /// Whether an event told of it.
    pub reported: bool,
}

impl Orphan {
    /// The id of what is this at that place.
    #[must_use]
    pub fn id_of(
        place: OrphanPlace,
        kind: OrphanKind,
        object: Uuid,
        peer: Option<ComputeHostId>,
    ) -> OrphanId {
        let peer = peer.map_or(Uuid::nil(), ComputeHostId::uuid);
        OrphanId::from_uuid(derived(
            place.uuid(),
            &format!("{}/{object}/{peer}", kind.as_str()),
        ))
    }
}
