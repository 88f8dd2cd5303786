//! Claimed addresses.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// One claimed address. Addresses are claimed and released with what holds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IpAddressView {
    /// Its id.
    pub id: Uuid,
    /// The range that it is of.
    pub ip_range_id: Uuid,
    /// The address.
    pub address: String,
    /// Its owner.
    pub project_id: Uuid,
    /// The NIC that holds it.
    pub nic_id: Option<Uuid>,
    /// The compute host that holds it.
    pub compute_host_id: Option<Uuid>,
    /// When it was claimed.
    #[schema(format = DateTime)]
    pub created_at: String,
}
