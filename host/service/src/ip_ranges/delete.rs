//! `DELETE /v1/ip-ranges/{id}`

use velum_model::{
    IpRangeId,
    tenancy::{BUILT_IN_PROJECT, Caller},
};
use velum_store::Table;

use crate::{error::ServiceError, services::Services, write::Removal};

impl Services {
    /// Removes a ip range that nothing uses any more.
    ///
    /// # Errors
    /// It does not exist, something uses it, `expected` is not its generation.
    pub async fn ip_range_delete(
        &self,
        caller: &Caller,
        id: IpRangeId,
        expected: Option<u64>,
    ) -> Result<(), ServiceError> {
        let row = self.ip_range_get(caller, id).await?;
        let zone = self.zone_get(caller, row.zone).await?;
        let removal = Removal {
            what: "ip range",
            table: Table::IpRange,
            collection: "ip-ranges",
            id: id.uuid(),
            generation: row.generation,
            project: BUILT_IN_PROJECT,
            shard: Some(zone.shard),
        };
        self.remove(caller, expected, removal).await
    }
}
