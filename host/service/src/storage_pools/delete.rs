//! `DELETE /v1/storage-pools/{id}`

use velum_model::{
    StoragePoolId,
    tenancy::{BUILT_IN_PROJECT, Caller},
};
use velum_store::Table;

use crate::{error::ServiceError, services::Services, write::Removal};

impl Services {
    /// Removes a storage pool that nothing uses any more.
    ///
    /// # Errors
    /// It does not exist, something uses it, `expected` is not its generation.
    pub async fn storage_pool_delete(
        &self,
        caller: &Caller,
        id: StoragePoolId,
        expected: Option<u64>,
    ) -> Result<(), ServiceError> {
        let row = self.storage_pool_get(caller, id).await?;
        let zone = self.zone_get(caller, row.zone).await?;
        let removal = Removal {
            what: "storage pool",
            table: Table::StoragePool,
            collection: "storage-pools",
            id: id.uuid(),
            generation: row.generation,
            project: BUILT_IN_PROJECT,
            shard: Some(zone.shard),
        };
        self.remove(caller, expected, removal).await
    }
}
