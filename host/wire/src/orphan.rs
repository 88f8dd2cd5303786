//! Orphans: what is at a far side and no row owns.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What an orphan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OrphanKind {
    /// A guest on a compute host.
    Guest,
    /// A volume, or a template's layer, on a pool.
    Volume,
    /// A volume that a compute host reaches.
    Publication,
    /// The seed of a guest on a compute host.
    Seed,
}

/// Something at a far side that carries this cloud's tag and has no row. One that had a row is removed by an operation when
/// it has been seen twice and for the grace time; one that never had a row in this database is left to the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrphanView {
    /// Its id.
    pub id: Uuid,
    /// What it is.
    pub kind: OrphanKind,
    /// The compute host that it is on.
    pub compute_host_id: Option<Uuid>,
    /// The storage pool that it is on.
    pub storage_pool_id: Option<Uuid>,
    /// Our id of it: of a run, a volume or a layer.
    pub object_id: Uuid,
    /// The compute host that reaches the volume, of a publication.
    pub peer_compute_host_id: Option<Uuid>,
    /// What the far side calls it.
    pub name: String,
    /// When its row went; null when this database never had one or has forgotten it: then it is never removed by itself.
    #[schema(format = DateTime)]
    pub removed_at: Option<String>,
    /// When it was first seen without a row.
    #[schema(format = DateTime)]
    pub first_seen_at: String,
    /// When it was last seen so.
    #[schema(format = DateTime)]
    pub last_seen_at: String,
    /// In how many complete observations.
    pub observations: u32,
}
