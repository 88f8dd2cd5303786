//! `POST /v1/instances:batch`: many accepts in one request and one transaction.

use std::collections::{HashMap, HashSet};

use velum_model::{decision::Decision, id::*, instance::Instance, tenancy::Caller};
use velum_store::{Change, Commit, Committed, TOGETHER};

use super::{
    InstanceDetail, NewInstance,
    create::{Claiming, Ground, Ids, plan_ask, refusal},
};
use crate::{
    error::ServiceError,
    planner::{Claimed, NoPlan, PLANS, Plan, Planner, outpaced},
    request::{Accepted, Answered, Keyed},
    services::Services,
    write::is_outdated,
};

/// Instances that can be made at once: a transaction.
pub const BATCH_MAX: usize = TOGETHER;

/// Instances to be made at once, all of one zone.
#[derive(Clone, Debug, PartialEq)]
pub struct NewInstances {
    /// Their zone.
    pub zone: ZoneId,
    /// What they are, 1 to [`BATCH_MAX`]; names are unique.
    pub instances: Vec<NewInstance>,
    /// Make none when one finds no place; else those that do.
    pub all_or_nothing: bool,
}

/// What came of each, in their order: accepted, or why it found no place.
pub type Batch = Vec<Result<Accepted<InstanceDetail>, ServiceError>>;

/// One of them as it was planned.
struct Planned {
    instance: Instance,
    ids: Ids,
    plan: Result<Claimed<Plan>, ServiceError>,
}

impl Planned {
    /// Why it found no compute host.
    fn refusal(&self) -> Option<&Decision> {
        match &self.plan {
            Err(ServiceError::NoCapacity { decision }) => Some(decision),
            _ => None,
        }
    }
}

/// What is to be committed, what is answered then, and the claims that are confirmed by it.
#[derive(Default)]
struct Making {
    commits: Vec<Commit>,
    batch: Batch,
    claimed: Vec<Claimed<Plan>>,
}

/// One of them, read and checked.
struct Wanted {
    new: NewInstance,
    ground: Ground,
}

impl Services {
    /// Accepts instances as [`Services::instance_create`] does, all in one transaction: either everything that is answered as
    /// accepted is durable, or nothing.
    ///
    /// # Errors
    /// As there, of any of them, with the field under `/instances/N`. That one finds no place is an error of all only if they want
    /// to be made all or none.
    pub async fn instance_create_batch(
        &self,
        caller: &Caller,
        new: NewInstances,
        keyed: Option<Keyed<Batch>>,
    ) -> Result<Answered<Batch>, ServiceError> {
        // Not left to the commit as with one: many would claim what there may be only once.
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        match self.create_batch(caller, new, keyed.as_ref()).await {
            // The same request may have been under way.
            Err(error) => match self.known(keyed.as_ref()).await? {
                Some(answer) => Ok(Answered::Replayed(answer)),
                None => Err(error),
            },
            made => made,
        }
    }

    async fn create_batch(
        &self,
        caller: &Caller,
        new: NewInstances,
        keyed: Option<&Keyed<Batch>>,
    ) -> Result<Answered<Batch>, ServiceError> {
        check(&new)?;
        let all_or_nothing = new.all_or_nothing;
        let zone = new.zone;
        let shard = self.zone_named(caller, zone, "/zone_id").await?.shard;
        // One after another: the first reads what the others then find in the catalog.
        let mut wanted = Vec::with_capacity(new.instances.len());
        for (n, new) in new.instances.into_iter().enumerate() {
            let ground = self.ground_of(caller, &new).await;
            let ground = ground.map_err(|error| error.within(&format!("/instances/{n}")))?;
            wanted.push(Wanted { new, ground });
        }
        let planner = self.planner(zone).await?;
        for _ in 0..PLANS {
            let made = self.plan_batch(caller, &planner, &wanted).await?;
            let refused = made.iter().filter_map(Planned::refusal);
            self.keep_refusals(shard, refused).await;
            if let Some(n) = made
                .iter()
                .position(|one| one.plan.is_err())
                .filter(|_| all_or_nothing)
            {
                let first = made.into_iter().nth(n).and_then(|one| one.plan.err());
                return Err(first.map_or_else(outpaced, |why| of_several(&wanted, n, why)));
            }
            let making = self.batch_commits(caller, &wanted, made, keyed)?;
            let Making {
                commits,
                batch,
                claimed,
            } = making;
            if commits.is_empty() {
                // Nothing is kept under the key: sent again, it may find places.
                return Ok(self
                    .known(keyed)
                    .await?
                    .map_or(Answered::Fresh(batch), Answered::Replayed));
            }
            match self.store().commit_together(commits).await {
                Ok(Committed::Done) => {
                    claimed.into_iter().for_each(|claimed| drop(claimed.commit()));
                    return Ok(Answered::Fresh(batch));
                }
                Ok(Committed::Replayed(answer)) => return Ok(Answered::Replayed(answer)),
                Err(error) if is_outdated(&error) => {
                    drop(claimed);
                    self.load(&planner).await?;
                }
                Err(error) => {
                    let error = ServiceError::from_store("accept the instances", error);
                    return Err(of_its_name(&wanted, error));
                }
            }
        }
        Err(outpaced())
    }

    /// A plan for each, in their order, or why it has no place.
    ///
    /// # Errors
    /// What is wrong with more than a single one: the policy failed, or the zone is another's.
    async fn plan_batch(
        &self,
        caller: &Caller,
        planner: &Planner,
        wanted: &[Wanted],
    ) -> Result<Vec<Planned>, ServiceError> {
        let mut asks = Vec::with_capacity(wanted.len());
        let mut instances = Vec::with_capacity(wanted.len());
        for Wanted { new, ground } in wanted {
            let instance = self.instance_of(caller, new, ground);
            let ids = self.ids_for(new);
            asks.push(plan_ask(&instance, new, ground, &ids, Claiming::Yes));
            instances.push((instance, ids, ground));
        }
        let plans = planner.plan_many(asks).await;
        let plans = plans.map_err(|none| none.into_error(String::new))?;
        let one = |((instance, ids, ground), plan): ((Instance, Ids, &Ground), _)| {
            let plan = match plan {
                Ok(claimed) => Ok(claimed),
                Err(
                    none @ (NoPlan::NoCapacity(_)
                    | NoPlan::NoStorage(_)
                    | NoPlan::NoAddress(_)
                    | NoPlan::AddressTaken(..)
                    | NoPlan::AddressInNoRange(..)),
                ) => Err(refusal(none, ground)),
                Err(none) => return Err(refusal(none, ground)),
            };
            Ok(Planned { instance, ids, plan })
        };
        instances.into_iter().zip(plans).map(one).collect()
    }

    /// A commit for each that has a place.
    fn batch_commits(
        &self,
        caller: &Caller,
        wanted: &[Wanted],
        planned: Vec<Planned>,
        keyed: Option<&Keyed<Batch>>,
    ) -> Result<Making, ServiceError> {
        let mut making = Making::default();
        let mut layers: HashSet<(StoragePoolId, TemplateId)> = HashSet::new();
        for (Wanted { ground, .. }, planned) in wanted.iter().zip(planned) {
            let Planned { instance, ids, plan } = planned;
            let claimed = match plan {
                Ok(claimed) => claimed,
                Err(none) => {
                    making.batch.push(Err(none));
                    continue;
                }
            };
            let plan = claimed.plan().ok_or_else(outpaced)?;
            let (mut commit, accepted) =
                self.create_commit(caller, (&instance, ground), (&ids, plan), None)?;
            // The first of them that needs a layer brings it for all.
            commit.changes.retain(|change| match change {
                Change::InsertLayer(layer) => layers.insert((layer.pool, layer.template)),
                _ => true,
            });
            making.commits.push(commit);
            making.batch.push(Ok(accepted));
            making.claimed.push(claimed);
        }
        if let (Some(first), Some(keyed)) = (making.commits.first_mut(), keyed) {
            first.idempotency = Some(keyed.idempotency(&making.batch));
        }
        Ok(making)
    }
}

/// The error of one of them.
fn of_several(wanted: &[Wanted], n: usize, why: ServiceError) -> ServiceError {
    let name = wanted.get(n).map(|one| one.new.name.to_string());
    ServiceError::OfSeveral {
        field: format!("/instances/{n}"),
        name: name.unwrap_or_default(),
        why: Box::new(why),
    }
}

/// The same of one that the database named.
fn of_its_name(wanted: &[Wanted], why: ServiceError) -> ServiceError {
    let ServiceError::NameTaken { name, .. } = &why else {
        return why;
    };
    match wanted.iter().position(|one| one.new.name.as_str() == name) {
        Some(n) => of_several(wanted, n, why),
        None => why,
    }
}

fn check(new: &NewInstances) -> Result<(), ServiceError> {
    let count = new.instances.len();
    if !(1..=BATCH_MAX).contains(&count) {
        return Err(ServiceError::invalid(
            "/instances",
            format!("has {count} entries; 1 to {BATCH_MAX} can be made at once"),
            "send several requests, each with a part of them",
        ));
    }
    let mut places: HashMap<&str, usize> = HashMap::with_capacity(count);
    for (n, instance) in new.instances.iter().enumerate() {
        if let Some(first) = places.insert(instance.name.as_str(), n) {
            return Err(ServiceError::invalid(
                format!("/instances/{n}/name"),
                format!("is the name of /instances/{first} too"),
                "give each another name",
            ));
        }
    }
    Ok(())
}
