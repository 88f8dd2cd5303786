//! `DELETE /v1/pods/{id}`

use velum_model::{
    PodId,
    tenancy::{BUILT_IN_PROJECT, Caller},
};
use velum_store::Table;

use crate::{error::ServiceError, services::Services, write::Removal};

impl Services {
    /// Removes a pod that nothing uses any more.
    ///
    /// # Errors
    /// It does not exist, something uses it, `expected` is not its generation.
    pub async fn pod_delete(
        &self,
        caller: &Caller,
        id: PodId,
        expected: Option<u64>,
    ) -> Result<(), ServiceError> {
        let row = self.pod_get(caller, id).await?;
        let zone = self.zone_get(caller, row.zone).await?;
        let removal = Removal {
            what: "pod",
            table: Table::Pod,
            collection: "pods",
            id: id.uuid(),
            generation: row.generation,
            project: BUILT_IN_PROJECT,
            shard: Some(zone.shard),
        };
        self.remove(caller, expected, removal).await
    }
}
