//! Network interfaces.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A network interface of an instance. NICs come and go with their instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NicView {
    /// Its id.
    pub id: Uuid,
    /// Its instance.
    pub instance_id: Uuid,
    /// Its network.
    pub network_id: Uuid,
    /// Its owner.
    pub project_id: Uuid,
    /// Its position, from 0.
    pub slot: u16,
    /// Unique in the cloud.
    pub mac: String,
    /// Unique in its network.
    pub address: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}
