//! `PATCH /v1/affinity-groups/{id}`

use velum_model::{AffinityGroupId, affinity::AffinityGroup, tenancy::Caller};
use velum_store::{Change, Commit};

use super::ChangeAffinityGroup;
use crate::{
    error::ServiceError,
    services::Services,
    write::{event, expect, lost_a_race},
};

impl Services {
    /// Changes what an affinity group is called.
    ///
    /// # Errors
    /// It does not exist, the name is taken, `expected` is not its generation.
    pub async fn affinity_group_change(
        &self,
        caller: &Caller,
        id: AffinityGroupId,
        expected: Option<u64>,
        change: ChangeAffinityGroup,
    ) -> Result<AffinityGroup, ServiceError> {
        let mut tries = 0;
        loop {
            let changed = self
                .affinity_group_change_once(caller, id, expected, &change)
                .await;
            if !lost_a_race(&changed, expected, &mut tries) {
                return changed;
            }
        }
    }

    async fn affinity_group_change_once(
        &self,
        caller: &Caller,
        id: AffinityGroupId,
        expected: Option<u64>,
        change: &ChangeAffinityGroup,
    ) -> Result<AffinityGroup, ServiceError> {
        let mut group = self.affinity_group_get(caller, id).await?;
        expect("affinity group", id.uuid(), expected, group.generation)?;
        if let Some(name) = &change.name {
            group.name = name.clone();
        }
        if let Some(description) = &change.description {
            group.description = description.clone();
        }
        let zone = self.zone_of(group.zone).await?;
        let about = ("affinity-groups", id.uuid());
        let commit = Commit {
            fence: Some(self.fence(zone.shard)?),
            changes: vec![Change::UpdateAffinityGroup(group.clone())],
            events: vec![event(caller, "affinity-group.changed", group.project, about)],
            ..Commit::default()
        };
        self.commit("change the affinity group", commit).await?;
        group.generation += 1;
        Ok(group)
    }
}
