//! `DELETE /v1/policies/{id}`

use velum_model::{
    PolicyId,
    tenancy::{BUILT_IN_PROJECT, Caller},
};
use velum_store::Table;

use crate::{error::ServiceError, services::Services, write::Removal};

impl Services {
    /// Removes a policy that no zone and no offering names.
    ///
    /// # Errors
    /// It does not exist, something names it, `expected` is not its generation.
    pub async fn policy_delete(
        &self,
        caller: &Caller,
        id: PolicyId,
        expected: Option<u64>,
    ) -> Result<(), ServiceError> {
        let policy = self.policy_get(caller, id).await?;
        let removal = Removal {
            what: "policy",
            table: Table::Policy,
            collection: "policies",
            id: id.uuid(),
            generation: policy.generation,
            project: BUILT_IN_PROJECT,
            shard: None,
        };
        self.remove(caller, expected, removal).await
    }
}
