//! Which server a request is for.

use uuid::Uuid;
use velum_model::ShardId;
use velum_store::Owner;

use crate::{error::ServiceError, services::Services};

impl Services {
    /// The shard that owns a resource of a collection (`instances`, `zones`); none when there is no such resource, or its
    /// collection belongs to no shard.
    ///
    /// # Errors
    /// The database failed.
    pub async fn shard_of(&self, collection: &str, id: Uuid) -> Result<Option<ShardId>, ServiceError> {
        let is_zone = collection == "zones";
        if is_zone && let Some(shard) = self.zone_shards().read().get(&id) {
            return Ok(Some(*shard));
        }
        let shard = self.read().shard_of(collection, id).await;
        let shard = shard.map_err(|error| ServiceError::from_store("look up the shard", error))?;
        if let Some(shard) = shard.filter(|_| is_zone) {
            self.zone_shards().write().insert(id, shard);
        }
        Ok(shard)
    }

    /// Where a shard is worked on now.
    #[must_use]
    pub fn owner(&self, shard: ShardId) -> Owner {
        self.store().owner(shard)
    }
}
