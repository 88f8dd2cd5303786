//! Affinity groups.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Which way an affinity group draws its members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AffinityKind {
    /// Together.
    Affinity,
    /// Apart.
    #[default]
    AntiAffinity,
}

/// How much an affinity group counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AffinityStrength {
    /// A member that cannot be placed as the group wants is not placed.
    #[default]
    Required,
    /// It is placed as the group wants where that is possible.
    Preferred,
}

/// What the members of an affinity group are together on, or apart by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AffinityLevel {
    /// The compute host.
    #[default]
    ComputeHost,
    /// The pod: a rack.
    Pod,
}

/// Instances of a project that are to be near each other, or apart. Where their runs are counts: one that is stopped is nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AffinityGroupView {
    /// Its id.
    pub id: Uuid,
    /// Its zone, in which its members are.
    pub zone_id: Uuid,
    /// Its owner, whose its members are.
    pub project_id: Uuid,
    /// Unique in its project and zone.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Which way it draws.
    pub kind: AffinityKind,
    /// How much it counts.
    pub strength: AffinityStrength,
    /// What its members are together on, or apart by.
    pub level: AffinityLevel,
    /// How many instances are in it.
    pub members: u64,
    /// Grows with every change; the ETag.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// An affinity group to make. Instances join it when they are made (`affinity_group_ids`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAffinityGroupBody {
    /// Its zone.
    pub zone_id: Uuid,
    /// Unique in its project and zone.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// One line for people.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub description: String,
    /// Which way it draws.
    pub kind: AffinityKind,
    /// How much it counts; required unless said.
    #[serde(default)]
    #[schema(inline)]
    pub strength: AffinityStrength,
    /// What its members are together on, or apart by; the compute host unless said.
    #[serde(default)]
    #[schema(inline)]
    pub level: AffinityLevel,
}

/// What is to change of an affinity group; what is absent stays. What it asks of its members never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAffinityGroupBody {
    /// Unique in its project and zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: Option<String>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub description: Option<String>,
}
