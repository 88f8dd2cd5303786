//! `DELETE /v1/image-stores/{id}`

use velum_model::{
    ImageStoreId,
    tenancy::{BUILT_IN_PROJECT, Caller},
};
use velum_store::Table;

use crate::{error::ServiceError, services::Services, write::Removal};

impl Services {
    /// Removes a image store that nothing uses any more.
    ///
    /// # Errors
    /// It does not exist, something uses it, `expected` is not its generation.
    pub async fn image_store_delete(
        &self,
        caller: &Caller,
        id: ImageStoreId,
        expected: Option<u64>,
    ) -> Result<(), ServiceError> {
        let row = self.image_store_get(caller, id).await?;
        let zone = self.zone_get(caller, row.zone).await?;
        let removal = Removal {
            what: "image store",
            table: Table::ImageStore,
            collection: "image-stores",
            id: id.uuid(),
            generation: row.generation,
            project: BUILT_IN_PROJECT,
            shard: Some(zone.shard),
        };
        self.remove(caller, expected, removal).await
    }
}
