//! `PATCH /v1/storage-pools/{id}`

use velum_model::{StoragePoolId, infrastructure::StoragePool, tenancy::Caller};
use velum_store::{Change, Commit};

use super::ChangeStoragePool;
use crate::{
    error::ServiceError,
    services::Services,
    targets::{check_attributes, intent, tidy_tags},
    write::{expect, lost_a_race, own_event},
};

impl Services {
    /// Changes a pool.
    ///
    /// # Errors
    /// It does not exist, the name is taken, `expected` is not its generation.
    pub async fn storage_pool_change(
        &self,
        caller: &Caller,
        id: StoragePoolId,
        expected: Option<u64>,
        mut change: ChangeStoragePool,
    ) -> Result<StoragePool, ServiceError> {
        if let Some(tags) = change.tags.take() {
            change.tags = Some(tidy_tags(tags, "/tags")?);
        }
        if let Some(attributes) = &change.attributes {
            check_attributes(attributes)?;
        }
        let mut tries = 0;
        loop {
            let changed = self.storage_pool_change_once(caller, id, expected, &change).await;
            if !lost_a_race(&changed, expected, &mut tries) {
                return changed;
            }
        }
    }

    async fn storage_pool_change_once(
        &self,
        caller: &Caller,
        id: StoragePoolId,
        expected: Option<u64>,
        change: &ChangeStoragePool,
    ) -> Result<StoragePool, ServiceError> {
        let mut pool = self.storage_pool_get(caller, id).await?;
        expect("storage pool", id.uuid(), expected, pool.generation)?;
        let zone = self.zone_get(caller, pool.zone).await?;
        if let Some(name) = &change.name {
            pool.name = name.clone();
        }
        if let Some(tags) = &change.tags {
            pool.tags = tags.clone();
        }
        if let Some(attributes) = &change.attributes {
            pool.attributes = attributes.clone();
        }
        pool.intent = intent(change.enabled, pool.intent);
        pool.capacity = change.capacity.unwrap_or(pool.capacity);
        // Never below what is promised (law 2).
        pool.bytes_ceiling = pool.capacity.get().max(pool.bytes_used);
        let commit = Commit {
            fence: Some(self.fence(zone.shard)?),
            changes: vec![Change::UpdateStoragePool(Box::new(pool.clone()))],
            events: vec![own_event(
                caller,
                "storage-pool.changed",
                ("storage-pools", id.uuid()),
            )],
            ..Commit::default()
        };
        self.commit("change the pool", commit).await?;
        pool.generation += 1;
        Ok(pool)
    }
}
