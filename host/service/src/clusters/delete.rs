//! `DELETE /v1/clusters/{id}`

use velum_model::{
    ClusterId,
    tenancy::{BUILT_IN_PROJECT, Caller},
};
use velum_store::Table;

use crate::{error::ServiceError, services::Services, write::Removal};

impl Services {
    /// Removes a cluster that nothing uses any more.
    ///
    /// # Errors
    /// It does not exist, something uses it, `expected` is not its generation.
    pub async fn cluster_delete(
        &self,
        caller: &Caller,
        id: ClusterId,
        expected: Option<u64>,
    ) -> Result<(), ServiceError> {
        let row = self.cluster_get(caller, id).await?;
        let zone = self.zone_get(caller, row.zone).await?;
        let removal = Removal {
            what: "cluster",
            table: Table::Cluster,
            collection: "clusters",
            id: id.uuid(),
            generation: row.generation,
            project: BUILT_IN_PROJECT,
            shard: Some(zone.shard),
        };
        self.remove(caller, expected, removal).await
    }
}
