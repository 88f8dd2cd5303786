//! `POST /v1/instances/{id}/start`: a placement like the first, tied to the volumes that are there.

use velum_model::{
    InstanceId, NetworkId,
    affinity::AffinityTie,
    infrastructure::ComputeOffering,
    instance::{Instance, InstanceState},
    operation::{OperationKindName, Subject},
    storage::VolumeState,
    tenancy::{Caller, Scope},
};
use velum_operation::params::InstanceStart;
use velum_placement::Ask;
use velum_store::{Change, Commit, Committed};

use super::{
    InstanceDetail,
    plan::{ask_for, first_run_generation, take_places},
};
use crate::{
    error::ServiceError,
    planner::{PLANS, Plan, PlanAsk, outpaced},
    request::{Accepted, Answered, Keyed},
    services::Services,
    write::{Acceptance, accepted_event, is_outdated},
};

impl Services {
    /// Accepts the start of a stopped instance: placed and claimed when this answers.
    ///
    /// # Errors
    /// It does not exist or is not stopped, no compute host takes it, an operation is at work on it.
    pub async fn instance_start(
        &self,
        caller: &Caller,
        id: InstanceId,
        keyed: Option<Keyed<Accepted<InstanceDetail>>>,
    ) -> Result<Answered<Accepted<InstanceDetail>>, ServiceError> {
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let mut instance = self.instance_get(caller, id).await?;
        let from = instance.state;
        instance.state = from.start().map_err(|error| refused(id, &error))?;
        instance.generation += 1;
        let (ask, offering) = self.ask_again(&instance).await?;
        let planner = self.planner(instance.zone).await?;
        for _ in 0..PLANS {
            let plan_ask = PlanAsk {
                ask: ask.clone(),
                run: self.fresh(),
                disks: Vec::new(),
                nics: Vec::new(),
                policy: offering.policy,
                dry_run: false,
            };
            let run = plan_ask.run;
            let claimed = match planner.plan(plan_ask).await {
                Ok(claimed) => claimed,
                Err(none) => {
                    self.keep_refusal_in(instance.zone, &none).await;
                    return Err(none.into_error(String::new));
                }
            };
            let Some(plan) = claimed.plan() else { break };
            let run = self.run_of(&instance, run, plan, first_run_generation(instance.generation));
            let mut placed = instance.clone();
            placed.run = Some(run);
            placed.decision = Some(plan.decision.id);
            let (commit, accepted) = self
                .start_commit(caller, from, placed, (plan, &ask.ties), keyed.as_ref())
                .await?;
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
                Err(error) => return Err(ServiceError::from_store("accept the start", error)),
            }
        }
        Err(outpaced())
    }

    async fn start_commit(
        &self,
        caller: &Caller,
        from: InstanceState,
        placed: Instance,
        (plan, ties): (&Plan, &[AffinityTie]),
        keyed: Option<&Keyed<Accepted<InstanceDetail>>>,
    ) -> Result<(Commit, Accepted<InstanceDetail>), ServiceError> {
        let run = placed.run.clone().ok_or_else(outpaced)?;
        let zone = self.zone_get(caller, placed.zone).await?;
        let (operation, write, fence) = self.accept(
            caller,
            Acceptance {
                kind: OperationKindName::InstanceStart,
                subject: Subject::Instance(placed.id),
                project: placed.project,
                shard: zone.shard,
                params: InstanceStart {
                    run: run.id,
                    excluded: Vec::new(),
                },
                also_locks: None,
                preempts: false,
            },
        )?;
        let about = ("instances", placed.id.uuid());
        let event = accepted_event(caller, "instance.starting", placed.project, operation, about);
        let mut changes = vec![
            Change::InstanceState {
                id: placed.id,
                from: vec![from],
                to: placed.state,
            },
            Change::InsertRun(run.clone()),
            Change::InstanceDecision {
                id: placed.id,
                decision: plan.decision.id,
            },
        ];
        changes.extend(take_places(&run, ties));
        let accepted = Accepted {
            resource: self.with_parts(placed).await?,
            operation,
        };
        let commit = Commit {
            fence: Some(fence),
            idempotency: keyed.map(|keyed| keyed.idempotency(&accepted)),
            operation: Some(write),
            changes,
            decision: Some(plan.decision.clone()),
            events: vec![event],
        };
        Ok((commit, accepted))
    }

    /// The ask for another run of an instance: its shape, its NICs' kinds, the pools of its volumes, its groups.
    pub(super) async fn ask_again(
        &self,
        instance: &Instance,
    ) -> Result<(Ask, ComputeOffering), ServiceError> {
        let failed = |error| ServiceError::from_store("read what the instance is made from", error);
        let reader = self.read();
        let offering = reader.compute_offering(instance.offering).await.map_err(failed)?;
        let offering =
            offering.ok_or_else(|| ServiceError::not_found("compute offering", instance.offering))?;
        self.know_policy(&offering).await?;
        let nics = reader.nics_of(instance.id).await.map_err(failed)?;
        let mut nic_kinds = Vec::with_capacity(nics.len());
        let networks: std::collections::BTreeSet<NetworkId> = nics.iter().map(|nic| nic.network).collect();
        for network in networks {
            let network = reader.network(Scope::All, network).await.map_err(failed)?;
            nic_kinds.extend(network.map(|network| network.link.kind.nic_kind()));
        }
        nic_kinds.sort_unstable();
        nic_kinds.dedup();
        let mut ask = ask_for(instance, &offering, nic_kinds);
        let volumes = reader.volumes_of(instance.id).await.map_err(failed)?;
        let there = volumes
            .iter()
            .filter(|volume| volume.state != VolumeState::Deleting);
        ask.pinned = there.map(|volume| volume.pool).collect();
        ask.pinned.sort_unstable();
        ask.pinned.dedup();
        let groups = reader.affinity_groups_of(instance.id).await.map_err(failed)?;
        ask.ties = groups.iter().map(AffinityTie::from).collect();
        Ok((ask, offering))
    }
}

pub(super) fn refused(id: InstanceId, error: &velum_model::instance::InvalidTransition) -> ServiceError {
    ServiceError::InvalidState {
        what: "instance",
        id: id.uuid(),
        problem: error.to_string(),
    }
}
