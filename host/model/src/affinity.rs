//! Affinity groups: instances of a project that are to be near each other, or apart. What counts is where their runs are: an
//! instance that is stopped is nowhere.

use serde::{Deserialize, Serialize};

use crate::{id::*, name::Name, time::Timestamp};

/// Groups of one instance. Each is looked at for every placement and takes a row in its commit; other clouds allow as few.
pub const AFFINITY_GROUPS_MAX: usize = 8;

/// Which way a group draws its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AffinityKind {
    /// Together.
    Affinity,
    /// Apart.
    AntiAffinity,
}

/// How much a group counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AffinityStrength {
    /// A member that cannot be placed as the group wants is not placed.
    Required,
    /// It is placed as the group wants where that is possible.
    Preferred,
}

/// What members are together on, or apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AffinityLevel {
    /// The compute host.
    ComputeHost,
    /// The pod: a rack.
    Pod,
}

/// Instances of a project that are to be near each other, or apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AffinityGroup {
    /// Its id.
    pub id: AffinityGroupId,
    /// Its zone, in which its members are.
    pub zone: ZoneId,
    /// Its owner, whose its members are.
    pub project: ProjectId,
    /// Unique in its project and zone.
    pub name: Name,
    /// What it is for, in the owner's words.
    pub description: String,
    /// Which way it draws.
    pub kind: AffinityKind,
    /// How much it counts.
    pub strength: AffinityStrength,
    /// What its members are together on, or apart by.
    pub level: AffinityLevel,
    /// How many instances are in it.
    pub members: u64,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a group asks of the place of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AffinityTie {
    /// The group.
    pub group: AffinityGroupId,
    /// Its name at that time: reasons are read after the group is gone.
    pub name: Name,
    /// Which way it draws.
    pub kind: AffinityKind,
    /// How much it counts.
    pub strength: AffinityStrength,
    /// What its members are together on, or apart by.
    pub level: AffinityLevel,
}

impl From<&AffinityGroup> for AffinityTie {
    fn from(group: &AffinityGroup) -> Self {
        Self {
            group: group.id,
            name: group.name.clone(),
            kind: group.kind,
            strength: group.strength,
            level: group.level,
        }
    }
}
