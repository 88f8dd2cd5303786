//! `/v1/disk-offerings`

use velum_model::{
    DiskOfferingId,
    infrastructure::DiskOffering,
    tenancy::{BUILT_IN_PROJECT, Caller},
};
use velum_store::{Change, Commit, Table};

use super::{ChangeDiskOffering, NewDiskOffering};
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    targets::tidy_tags,
    write::{Removal, administer, expect, lost_a_race, own_event},
};

impl Services {
    /// Makes a disk offering.
    ///
    /// # Errors
    /// The name is taken, or what it refers to does not exist.
    pub async fn disk_offering_create(
        &self,
        caller: &Caller,
        new: NewDiskOffering,
        keyed: Option<Keyed<DiskOffering>>,
    ) -> Result<Answered<DiskOffering>, ServiceError> {
        administer(caller, "disk offering")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let offering = DiskOffering {
            id: self.fresh(),
            name: new.name,
            size: new.size,
            storage_tags: tidy_tags(new.storage_tags, "/storage_tags")?,
            generation: 1,
            created_at: self.now(),
        };
        let about = ("disk-offerings", offering.id.uuid());
        let commit = Commit {
            changes: vec![Change::InsertDiskOffering(offering.clone())],
            events: vec![own_event(caller, "disk-offering.created", about)],
            ..Commit::default()
        };
        self.make("store the disk offering", commit, keyed.as_ref(), offering)
            .await
    }

    /// Changes a disk offering. What was made from it stays as it is.
    ///
    /// # Errors
    /// It does not exist, the name is taken, `expected` is not its generation.
    pub async fn disk_offering_change(
        &self,
        caller: &Caller,
        id: DiskOfferingId,
        expected: Option<u64>,
        mut change: ChangeDiskOffering,
    ) -> Result<DiskOffering, ServiceError> {
        administer(caller, "disk offering")?;
        if let Some(tags) = change.storage_tags.take() {
            change.storage_tags = Some(tidy_tags(tags, "/storage_tags")?);
        }
        let mut tries = 0;
        loop {
            let changed = self
                .disk_offering_change_once(caller, id, expected, &change)
                .await;
            if !lost_a_race(&changed, expected, &mut tries) {
                return changed;
            }
        }
    }

    async fn disk_offering_change_once(
        &self,
        caller: &Caller,
        id: DiskOfferingId,
        expected: Option<u64>,
        change: &ChangeDiskOffering,
    ) -> Result<DiskOffering, ServiceError> {
        let mut offering = self.disk_offering_get(caller, id).await?;
        expect("disk offering", id.uuid(), expected, offering.generation)?;
        if let Some(name) = &change.name {
            offering.name = name.clone();
        }
        if let Some(tags) = &change.storage_tags {
            offering.storage_tags = tags.clone();
        }
        let commit = Commit {
            changes: vec![Change::UpdateDiskOffering(offering.clone())],
            events: vec![own_event(
                caller,
                "disk-offering.changed",
                ("disk-offerings", id.uuid()),
            )],
            ..Commit::default()
        };
        self.commit("change the disk offering", commit).await?;
        offering.generation += 1;
        Ok(offering)
    }

    /// Removes a disk offering that nothing uses any more.
    ///
    /// # Errors
    /// It does not exist, something was made from it, `expected` is not its generation.
    pub async fn disk_offering_delete(
        &self,
        caller: &Caller,
        id: DiskOfferingId,
        expected: Option<u64>,
    ) -> Result<(), ServiceError> {
        administer(caller, "disk offering")?;
        let offering = self.disk_offering_get(caller, id).await?;
        let removal = Removal {
            what: "disk offering",
            table: Table::DiskOffering,
            collection: "disk-offerings",
            id: id.uuid(),
            generation: offering.generation,
            project: BUILT_IN_PROJECT,
            shard: None,
        };
        self.remove(caller, expected, removal).await
    }
}
