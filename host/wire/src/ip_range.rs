//! Ranges of addresses.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What a range of addresses is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IpRangeKind {
    /// Guests' addresses on a network.
    Public,
    /// Management addresses of a pod.
    Private,
}

/// A range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IpRangeView {
    /// Its id.
    pub id: Uuid,
    /// Its zone.
    pub zone_id: Uuid,
    /// What it is for.
    pub kind: IpRangeKind,
    /// Its network, of a public range.
    pub network_id: Option<Uuid>,
    /// Its pod, of a private range.
    pub pod_id: Option<Uuid>,
    /// The first address.
    pub first: String,
    /// The last address.
    pub last: String,
    /// How many addresses it holds.
    pub size: u64,
    /// How many of them are claimed.
    pub claimed: u64,
    /// Grows with every change; the ETag.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A range to make: of a network (public) or of a pod (private), one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateIpRangeBody {
    /// The network whose guests get the addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_id: Option<Uuid>,
    /// The pod whose compute hosts get the addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_id: Option<Uuid>,
    /// The first address.
    #[schema(format = Ipv4, example = "10.10.0.10")]
    pub first: String,
    /// The last address; no further than 65,535 beyond the first.
    #[schema(format = Ipv4, example = "10.10.0.250")]
    pub last: String,
}
