//! `/v1/compute-offerings`

use velum_model::{
    ComputeOfferingId,
    infrastructure::ComputeOffering,
    port::placement::registry,
    tenancy::{BUILT_IN_PROJECT, Caller},
};
use velum_store::{Change, Commit, Table};

use super::{ChangeComputeOffering, NewComputeOffering};
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    targets::tidy_tags,
    write::{Removal, administer, expect, lost_a_race, own_event},
};

impl Services {
    /// Makes a compute offering.
    ///
    /// # Errors
    /// The name is taken, or what it refers to does not exist.
    pub async fn compute_offering_create(
        &self,
        caller: &Caller,
        new: NewComputeOffering,
        keyed: Option<Keyed<ComputeOffering>>,
    ) -> Result<Answered<ComputeOffering>, ServiceError> {
        administer(caller, "compute offering")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        self.check_ranks(new.policy, registry::ROW_COMPUTE_HOST, "/policy_id")
            .await?;
        let offering = ComputeOffering {
            id: self.fresh(),
            name: new.name,
            vcpus: new.vcpus,
            memory: new.memory,
            resources: new.resources,
            host_tags: tidy_tags(new.host_tags, "/host_tags")?,
            storage_tags: tidy_tags(new.storage_tags, "/storage_tags")?,
            policy: new.policy,
            expected_lifetime: new.expected_lifetime,
            generation: 1,
            created_at: self.now(),
        };
        let about = ("compute-offerings", offering.id.uuid());
        let commit = Commit {
            changes: vec![Change::InsertComputeOffering(offering.clone())],
            events: vec![own_event(caller, "compute-offering.created", about)],
            ..Commit::default()
        };
        self.make("store the compute offering", commit, keyed.as_ref(), offering)
            .await
    }

    /// Changes a compute offering. What was made from it stays as it is.
    ///
    /// # Errors
    /// It does not exist, the name is taken, `expected` is not its generation.
    pub async fn compute_offering_change(
        &self,
        caller: &Caller,
        id: ComputeOfferingId,
        expected: Option<u64>,
        mut change: ChangeComputeOffering,
    ) -> Result<ComputeOffering, ServiceError> {
        administer(caller, "compute offering")?;
        self.check_ranks(change.policy.flatten(), registry::ROW_COMPUTE_HOST, "/policy_id")
            .await?;
        if let Some(tags) = change.host_tags.take() {
            change.host_tags = Some(tidy_tags(tags, "/host_tags")?);
        }
        if let Some(tags) = change.storage_tags.take() {
            change.storage_tags = Some(tidy_tags(tags, "/storage_tags")?);
        }
        let mut tries = 0;
        loop {
            let changed = self
                .compute_offering_change_once(caller, id, expected, &change)
                .await;
            if !lost_a_race(&changed, expected, &mut tries) {
                return changed;
            }
        }
    }

    async fn compute_offering_change_once(
        &self,
        caller: &Caller,
        id: ComputeOfferingId,
        expected: Option<u64>,
        change: &ChangeComputeOffering,
    ) -> Result<ComputeOffering, ServiceError> {
        let mut offering = self.compute_offering_get(caller, id).await?;
        expect("compute offering", id.uuid(), expected, offering.generation)?;
        if let Some(name) = &change.name {
            offering.name = name.clone();
        }
        if let Some(tags) = &change.host_tags {
            offering.host_tags = tags.clone();
        }
        if let Some(tags) = &change.storage_tags {
            offering.storage_tags = tags.clone();
        }
        offering.policy = change.policy.unwrap_or(offering.policy);
        offering.expected_lifetime = change.expected_lifetime.unwrap_or(offering.expected_lifetime);
        let commit = Commit {
            changes: vec![Change::UpdateComputeOffering(offering.clone())],
            events: vec![own_event(
                caller,
                "compute-offering.changed",
                ("compute-offerings", id.uuid()),
            )],
            ..Commit::default()
        };
        self.commit("change the compute offering", commit).await?;
        offering.generation += 1;
        Ok(offering)
    }

    /// Removes a compute offering that nothing uses any more.
    ///
    /// # Errors
    /// It does not exist, something was made from it, `expected` is not its generation.
    pub async fn compute_offering_delete(
        &self,
        caller: &Caller,
        id: ComputeOfferingId,
        expected: Option<u64>,
    ) -> Result<(), ServiceError> {
        administer(caller, "compute offering")?;
        let offering = self.compute_offering_get(caller, id).await?;
        let removal = Removal {
            what: "compute offering",
            table: Table::ComputeOffering,
            collection: "compute-offerings",
            id: id.uuid(),
            generation: offering.generation,
            project: BUILT_IN_PROJECT,
            shard: None,
        };
        self.remove(caller, expected, removal).await
    }
}
