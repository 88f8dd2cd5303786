//! Affinity groups: instances that are to be near each other, or apart.

mod change;
mod create;
mod delete;

use velum_model::{
    Name,
    affinity::{AffinityKind, AffinityLevel, AffinityStrength},
    id::ZoneId,
};

/// An affinity group to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAffinityGroup {
    /// Its zone.
    pub zone: ZoneId,
    /// Unique in its project and zone.
    pub name: Name,
    /// What it is for.
    pub description: String,
    /// Which way it draws.
    pub kind: AffinityKind,
    /// How much it counts.
    pub strength: AffinityStrength,
    /// What its members are together on, or apart by.
    pub level: AffinityLevel,
}

/// What is to change of an affinity group; none = stays. What it asks of its members never changes: they were placed by it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeAffinityGroup {
    /// Another name.
    pub name: Option<Name>,
    /// Another description.
    pub description: Option<String>,
}
