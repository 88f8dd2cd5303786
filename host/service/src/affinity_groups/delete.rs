//! `DELETE /v1/affinity-groups/{id}`

use velum_model::{AffinityGroupId, tenancy::Caller};
use velum_store::Table;

use crate::{error::ServiceError, services::Services, write::Removal};

impl Services {
    /// Removes an affinity group that no instance is in any more.
    ///
    /// # Errors
    /// It does not exist, an instance is in it, `expected` is not its generation.
    pub async fn affinity_group_delete(
        &self,
        caller: &Caller,
        id: AffinityGroupId,
        expected: Option<u64>,
    ) -> Result<(), ServiceError> {
        let row = self.affinity_group_get(caller, id).await?;
        let zone = self.zone_of(row.zone).await?;
        let removal = Removal {
            what: "affinity group",
            table: Table::AffinityGroup,
            collection: "affinity-groups",
            id: id.uuid(),
            generation: row.generation,
            project: row.project,
            shard: Some(zone.shard),
        };
        self.remove(caller, expected, removal).await
    }
}
