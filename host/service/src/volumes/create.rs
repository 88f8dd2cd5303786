//! `POST /v1/volumes`

use velum_model::{
    infrastructure::{DiskOffering, Zone},
    operation::{OperationKindName, Subject},
    quantity::Bytes,
    storage::{Volume, VolumeState, VolumeUse},
    tenancy::Caller,
};
use velum_operation::params::VolumeCreate;
use velum_placement::DiskAsk;
use velum_store::{Change, Commit, Committed};

use super::NewVolume;
use crate::{
    error::ServiceError,
    planner::{NoPlan, PLANS},
    request::{Accepted, Answered, Keyed},
    services::Services,
    write::{Acceptance, accepted_event, is_outdated, no_such},
};

impl Services {
    /// Makes a data volume on a pool that the zone's pool policy chooses.
    ///
    /// # Errors
    /// Zone or offering do not exist, the size is missing or one too many, no pool takes it, the name is taken.
    pub async fn volume_create(
        &self,
        caller: &Caller,
        new: NewVolume,
        keyed: Option<Keyed<Accepted<Volume>>>,
    ) -> Result<Answered<Accepted<Volume>>, ServiceError> {
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let zone = self.zone_named(caller, new.zone, "/zone_id").await?;
        let offering = self.read().disk_offering(new.offering).await;
        let offering = offering
            .map_err(|error| ServiceError::from_store("read the disk offering", error))?
            .ok_or_else(|| no_such("/disk_offering_id", "disk offering", new.offering))?;
        let bytes = size_of(&offering, new.size)?;
        let disk = DiskAsk {
            bytes: bytes.get(),
            storage_tags: offering.storage_tags.clone(),
            template: None,
        };
        let planner = self.planner(zone.id).await?;
        for _ in 0..PLANS {
            let id = self.fresh();
            let claimed = planner.plan_volume(id, disk.clone()).await.map_err(refused)?;
            let Some(choice) = claimed.plan().map(|plan| plan.choice) else {
                break;
            };
            let volume = Volume {
                id,
                zone: zone.id,
                project: caller.scope.project(),
                name: new.name.clone(),
                used_as: VolumeUse::Data,
                offering: Some(offering.id),
                pool: choice.pool,
                size: Bytes::new(choice.bytes).unwrap_or(bytes),
                parent: None,
                backend_id: None,
                state: VolumeState::Creating,
                attachment: None,
                generation: 1,
                created_at: self.now(),
            };
            let (commit, accepted) = self.volume_commit(caller, &zone, volume, keyed.as_ref())?;
            match self.store().commit(commit).await {
                Ok(Committed::Done) => {
                    claimed.commit();
                    return Ok(Answered::Fresh(accepted));
                }
                Ok(Committed::Replayed(answer)) => return Ok(Answered::Replayed(answer)),
                Err(error) if is_outdated(&error) => {
                    drop(claimed);
                    self.load(&planner).await?;
                }
                Err(error) => return Err(ServiceError::from_store("accept the volume", error)),
            }
        }
        Err(crate::planner::outpaced())
    }

    fn volume_commit(
        &self,
        caller: &Caller,
        zone: &Zone,
        volume: Volume,
        keyed: Option<&Keyed<Accepted<Volume>>>,
    ) -> Result<(Commit, Accepted<Volume>), ServiceError> {
        let (operation, write, fence) = self.accept(
            caller,
            Acceptance {
                kind: OperationKindName::VolumeCreate,
                subject: Subject::Volume(volume.id),
                project: volume.project,
                shard: zone.shard,
                params: VolumeCreate::default(),
                also_locks: None,
                preempts: false,
            },
        )?;
        let about = ("volumes", volume.id.uuid());
        let created = accepted_event(caller, "volume.created", volume.project, operation, about);
        let accepted = Accepted {
            resource: volume.clone(),
            operation,
        };
        let commit = Commit {
            fence: Some(fence),
            idempotency: keyed.map(|keyed| keyed.idempotency(&accepted)),
            operation: Some(write),
            changes: vec![Change::InsertVolume(Box::new(volume))],
            events: vec![created],
            ..Commit::default()
        };
        Ok((commit, accepted))
    }
}

fn size_of(offering: &DiskOffering, wanted: Option<Bytes>) -> Result<Bytes, ServiceError> {
    let field = "/size_bytes";
    match (offering.size, wanted) {
        (Some(size), None) => Ok(size),
        (None, Some(size)) => Ok(size),
        (None, None) => Err(ServiceError::invalid(
            field,
            format!("the offering {} leaves the size open", offering.name),
            "say how large the volume is to be",
        )),
        (Some(size), Some(wanted)) if size == wanted => Ok(size),
        (Some(size), Some(_)) => Err(ServiceError::invalid(
            field,
            format!("the offering {} has {} bytes", offering.name, size.get()),
            "leave the size out, or use an offering without one",
        )),
    }
}

fn refused(none: NoPlan) -> ServiceError {
    match none {
        NoPlan::NoStorage(refused) => ServiceError::NoStorage { refused },
        other => other.into_error(String::new),
    }
}
