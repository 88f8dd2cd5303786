//! `DELETE /v1/publishers/{id}`

use velum_model::{
    PublisherId,
    tenancy::{BUILT_IN_PROJECT, Caller},
};
use velum_store::Table;

use crate::{error::ServiceError, services::Services, write::Removal};

impl Services {
    /// Removes a publisher, with its keys, of whom nothing was ever installed. One whose plugins were here keeps their
    /// names; its keys can be revoked.
    ///
    /// # Errors
    /// It does not exist, something of it was installed, `expected` is not its generation.
    pub async fn publisher_delete(
        &self,
        caller: &Caller,
        id: PublisherId,
        expected: Option<u64>,
    ) -> Result<(), ServiceError> {
        let publisher = self.publisher_get(caller, id).await?;
        let removal = Removal {
            what: "publisher",
            table: Table::Publisher,
            collection: "publishers",
            id: id.uuid(),
            generation: publisher.generation,
            project: BUILT_IN_PROJECT,
            shard: None,
        };
        self.remove(caller, expected, removal).await
    }
}
