//! `POST /v1/zones`

use velum_model::{infrastructure::Zone, port::placement::registry, tenancy::Caller};
use velum_store::{Change, Commit};

use super::NewZone;
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    write::{administer, own_event},
};

impl Services {
    /// Makes a zone, with the shard that owns it.
    ///
    /// # Errors
    /// The name is taken, or a policy does not exist or ranks other rows.
    pub async fn zone_create(
        &self,
        caller: &Caller,
        new: NewZone,
        keyed: Option<Keyed<Zone>>,
    ) -> Result<Answered<Zone>, ServiceError> {
        administer(caller, "zone")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        self.check_ranks(new.policy, registry::ROW_COMPUTE_HOST, "/policy_id")
            .await?;
        self.check_ranks(new.pool_policy, registry::ROW_STORAGE_POOL, "/pool_policy_id")
            .await?;
        let zone = Zone {
            id: self.fresh(),
            name: new.name,
            access: new.access,
            shard: self.fresh(),
            policy: new.policy,
            pool_policy: new.pool_policy,
            generation: 1,
            created_at: self.now(),
        };
        let commit = Commit {
            changes: vec![Change::InsertZone(zone.clone())],
            events: vec![own_event(caller, "zone.created", ("zones", zone.id.uuid()))],
            ..Commit::default()
        };
        self.make("store the zone", commit, keyed.as_ref(), zone).await
    }
}
