//! `POST /v1/affinity-groups`

use velum_model::{affinity::AffinityGroup, tenancy::Caller};
use velum_store::{Change, Commit};

use super::NewAffinityGroup;
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    write::event,
};

impl Services {
    /// Makes an affinity group of the caller's project. Instances join it when they are made.
    ///
    /// # Errors
    /// The zone does not exist, the name is taken.
    pub async fn affinity_group_create(
        &self,
        caller: &Caller,
        new: NewAffinityGroup,
        keyed: Option<Keyed<AffinityGroup>>,
    ) -> Result<Answered<AffinityGroup>, ServiceError> {
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let zone = self.zone_named(caller, new.zone, "/zone_id").await?;
        let group = AffinityGroup {
            id: self.fresh(),
            zone: zone.id,
            project: caller.scope.project(),
            name: new.name,
            description: new.description,
            kind: new.kind,
            strength: new.strength,
            level: new.level,
            members: 0,
            generation: 1,
            created_at: self.now(),
        };
        let about = ("affinity-groups", group.id.uuid());
        let commit = Commit {
            fence: Some(self.fence(zone.shard)?),
            changes: vec![Change::InsertAffinityGroup(group.clone())],
            events: vec![event(caller, "affinity-group.created", group.project, about)],
            ..Commit::default()
        };
        self.make("store the affinity group", commit, keyed.as_ref(), group)
            .await
    }
}
