//! Networks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// How a network reaches a compute host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkLinkKind {
    /// A Linux bridge that the operator made.
    #[default]
    Bridge,
    /// A libvirt network by name.
    LibvirtNetwork,
    /// A bridge that the node makes and keeps, isolated, with the gateway's address on it.
    NodeBridge,
    /// A segment of the simulated far side.
    Simulated,
}

/// What a network maps to on a compute host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkLinkView {
    /// What it is.
    pub kind: NetworkLinkKind,
    /// Its name there.
    pub name: String,
}

/// What a network is to map to on a compute host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkLinkBody {
    /// What it is.
    pub kind: NetworkLinkKind,
    /// Its name there: at most 15 characters for a bridge.
    #[schema(example = "velum0", pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
}

/// A network that NICs are plugged into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkView {
    /// Its id.
    pub id: Uuid,
    /// Its zone.
    pub zone_id: Uuid,
    /// Its owner.
    pub project_id: Uuid,
    /// Its offering.
    pub network_offering_id: Uuid,
    /// Unique in the zone.
    pub name: String,
    /// Its addresses.
    pub cidr: String,
    /// Its gateway.
    pub gateway: String,
    /// Resolvers that guests are told.
    pub dns: Vec<String>,
    /// What it maps to on a compute host.
    pub link: NetworkLinkView,
    /// Grows with every change; the ETag.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A network to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateNetworkBody {
    /// Its zone.
    pub zone_id: Uuid,
    /// Its offering.
    pub network_offering_id: Uuid,
    /// Unique in the zone.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// Its addresses.
    #[schema(example = "10.10.0.0/24")]
    pub cidr: String,
    /// Its gateway, inside the network.
    #[schema(format = Ipv4, example = "10.10.0.1")]
    pub gateway: String,
    /// Resolvers that guests are told.
    #[serde(default)]
    #[schema(max_items = 8)]
    pub dns: Vec<String>,
    /// What it maps to on a compute host.
    pub link: NetworkLinkBody,
}

/// What is to change of a network; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateNetworkBody {
    /// Unique in the zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: Option<String>,
    /// Replaces the resolvers; guests learn them at their next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 8)]
    pub dns: Option<Vec<String>>,
}
