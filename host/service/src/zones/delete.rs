//! `DELETE /v1/zones/{id}`

use velum_model::{
    ZoneId,
    tenancy::{BUILT_IN_PROJECT, Caller},
};
use velum_store::Table;

use crate::{
    error::ServiceError,
    services::Services,
    write::{Removal, administer},
};

impl Services {
    /// Removes a zone that nothing is in any more.
    ///
    /// # Errors
    /// It does not exist, something is in it, `expected` is not its generation.
    pub async fn zone_delete(
        &self,
        caller: &Caller,
        id: ZoneId,
        expected: Option<u64>,
    ) -> Result<(), ServiceError> {
        administer(caller, "zone")?;
        let zone = self.zone_get(caller, id).await?;
        let removal = Removal {
            what: "zone",
            table: Table::Zone,
            collection: "zones",
            id: id.uuid(),
            generation: zone.generation,
            project: BUILT_IN_PROJECT,
            shard: Some(zone.shard),
        };
        self.remove(caller, expected, removal).await?;
        self.forget_zone(id);
        self.keeping().remove(id).await;
        Ok(())
    }
}
