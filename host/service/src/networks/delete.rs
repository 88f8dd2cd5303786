//! `DELETE /v1/networks/{id}`

use velum_model::{NetworkId, tenancy::Caller};
use velum_store::Table;

use crate::{error::ServiceError, services::Services, write::Removal};

impl Services {
    /// Removes a network that nothing uses any more.
    ///
    /// # Errors
    /// It does not exist, something uses it, `expected` is not its generation.
    pub async fn network_delete(
        &self,
        caller: &Caller,
        id: NetworkId,
        expected: Option<u64>,
    ) -> Result<(), ServiceError> {
        let row = self.network_get(caller, id).await?;
        let zone = self.zone_of(row.zone).await?;
        let removal = Removal {
            what: "network",
            table: Table::Network,
            collection: "networks",
            id: id.uuid(),
            generation: row.generation,
            project: row.project,
            shard: Some(zone.shard),
        };
        self.remove(caller, expected, removal).await
    }
}
