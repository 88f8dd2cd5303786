//! `DELETE /v1/compute-hosts/{id}`

use velum_model::{
    ComputeHostId,
    tenancy::{BUILT_IN_PROJECT, Caller},
};
use velum_store::Table;

use crate::{error::ServiceError, services::Services, write::Removal};

impl Services {
    /// Removes a compute host that nothing uses any more.
    ///
    /// # Errors
    /// It does not exist, something uses it, `expected` is not its generation.
    pub async fn compute_host_delete(
        &self,
        caller: &Caller,
        id: ComputeHostId,
        expected: Option<u64>,
    ) -> Result<(), ServiceError> {
        let row = self.compute_host_get(caller, id).await?;
        let zone = self.zone_get(caller, row.zone).await?;
        let removal = Removal {
            what: "compute host",
            table: Table::ComputeHost,
            collection: "compute-hosts",
            id: id.uuid(),
            generation: row.generation,
            project: BUILT_IN_PROJECT,
            shard: Some(zone.shard),
        };
        self.remove(caller, expected, removal).await
    }
}
