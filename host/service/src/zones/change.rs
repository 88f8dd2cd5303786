//! `PATCH /v1/zones/{id}`

use velum_model::{ZoneId, infrastructure::Zone, port::placement::registry, tenancy::Caller};
use velum_store::{Change, Commit};

use super::ChangeZone;
use crate::{
    error::ServiceError,
    services::Services,
    write::{administer, expect, lost_a_race, own_event},
};

impl Services {
    /// Changes a zone. Another policy is in force for the next ask; nothing restarts.
    ///
    /// # Errors
    /// The zone or a policy does not exist, the name is taken, `expected` is not its generation.
    pub async fn zone_change(
        &self,
        caller: &Caller,
        id: ZoneId,
        expected: Option<u64>,
        change: ChangeZone,
    ) -> Result<Zone, ServiceError> {
        administer(caller, "zone")?;
        let policy = change.policy.flatten();
        self.check_ranks(policy, registry::ROW_COMPUTE_HOST, "/policy_id")
            .await?;
        let pool_policy = change.pool_policy.flatten();
        self.check_ranks(pool_policy, registry::ROW_STORAGE_POOL, "/pool_policy_id")
            .await?;
        let mut tries = 0;
        loop {
            let changed = self.zone_change_once(caller, id, expected, &change).await;
            if !lost_a_race(&changed, expected, &mut tries) {
                return changed;
            }
        }
    }

    async fn zone_change_once(
        &self,
        caller: &Caller,
        id: ZoneId,
        expected: Option<u64>,
        change: &ChangeZone,
    ) -> Result<Zone, ServiceError> {
        let mut zone = self.zone_get(caller, id).await?;
        expect("zone", id.uuid(), expected, zone.generation)?;
        if let Some(name) = &change.name {
            zone.name = name.clone();
        }
        zone.access = change.access.unwrap_or(zone.access);
        zone.policy = change.policy.unwrap_or(zone.policy);
        zone.pool_policy = change.pool_policy.unwrap_or(zone.pool_policy);
        let commit = Commit {
            fence: Some(self.fence(zone.shard)?),
            changes: vec![Change::UpdateZone(zone.clone())],
            events: vec![own_event(caller, "zone.changed", ("zones", id.uuid()))],
            ..Commit::default()
        };
        self.commit("change the zone", commit).await?;
        zone.generation += 1;
        Ok(zone)
    }
}
