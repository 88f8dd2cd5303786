//! `POST /v1/instances`: the main road's first half. Plan, then one commit with everything that is claimed.

use std::sync::Arc;

use serde_json::json;
use velum_model::{
    affinity::{AFFINITY_GROUPS_MAX, AffinityTie},
    id::*,
    infrastructure::{ComputeOffering, Network, Nic, Zone},
    instance::{Instance, InstanceState, USER_DATA_MAX},
    operation::{OperationKindName, Subject},
    page::Page,
    quantity::Bytes,
    storage::{Template, Volume, VolumeAttachment, VolumeState, VolumeUse},
    tenancy::{Caller, Scope},
};
use velum_operation::params::InstanceCreate;
use velum_store::{Change, Commit, Committed, InstanceFilter};

use super::{
    InstanceDetail, NICS_MAX, NewInstance,
    plan::{ask_for, first_run_generation, root_disk, take_places, virtual_bytes},
};
use crate::{
    error::ServiceError,
    planner::{DiskIds, NoPlan, PLANS, Plan, PlanAsk, outpaced},
    request::{Accepted, Answered, Keyed},
    services::Services,
    write::{Acceptance, accepted_event, is_outdated, no_such},
};

/// What a new instance refers to, read and checked.
pub(super) struct Ground {
    zone: Arc<Zone>,
    offering: Arc<ComputeOffering>,
    template: Arc<Template>,
    virtual_bytes: u64,
    root_bytes: Bytes,
    /// Of each NIC.
    networks: Vec<Arc<Network>>,
    /// What its affinity groups want.
    ties: Vec<AffinityTie>,
}

/// Identities of one attempt.
pub(super) struct Ids {
    run: RunId,
    root: DiskIds,
    nics: Vec<NicId>,
}

impl Services {
    /// Accepts an instance: placed, claimed and durable when this answers; an operation makes it.
    ///
    /// # Errors
    /// What it refers to does not exist or is not usable, no compute host takes it, a network has no address, the name
    /// is taken.
    pub async fn instance_create(
        &self,
        caller: &Caller,
        new: NewInstance,
        keyed: Option<Keyed<Accepted<InstanceDetail>>>,
    ) -> Result<Answered<Accepted<InstanceDetail>>, ServiceError> {
        match self.create(caller, new, keyed.as_ref()).await {
            // The commit finds a known key by itself; here it may be the reason why it did not come so far.
            Err(error) => match Box::pin(self.known(keyed.as_ref())).await? {
                Some(answer) => Ok(Answered::Replayed(answer)),
                None => Err(error),
            },
            made => made,
        }
    }

    async fn create(
        &self,
        caller: &Caller,
        new: NewInstance,
        keyed: Option<&Keyed<Accepted<InstanceDetail>>>,
    ) -> Result<Answered<Accepted<InstanceDetail>>, ServiceError> {
        let ground = self.ground_of(caller, &new).await?;
        let instance = self.instance_of(caller, &new, &ground);
        let planner = self.planner(ground.zone.id).await?;
        for _ in 0..PLANS {
            let ids = self.ids_for(&new);
            let ask = plan_ask(&instance, &new, &ground, &ids, Claiming::Yes);
            let claimed = match planner.plan(ask).await {
                Ok(claimed) => claimed,
                Err(none) => {
                    Box::pin(self.keep_refusal(ground.zone.shard, &none)).await;
                    return Err(refusal(none, &ground));
                }
            };
            let Some(plan) = claimed.plan() else { break };
            let (commit, accepted) = self.create_commit(caller, (&instance, &ground), (&ids, plan), keyed)?;
            match self.store().commit(commit).await {
                Ok(Committed::Done) => {
                    claimed.commit();
                    return Ok(Answered::Fresh(accepted));
                }
                Ok(Committed::Replayed(answer)) => return Ok(Answered::Replayed(answer)),
                Err(error) if is_outdated(&error) => {
                    drop(claimed);
                    Box::pin(self.load(&planner)).await?;
                }
                Err(error) => return Err(ServiceError::from_store("accept the instance", error)),
            }
        }
        Err(outpaced())
    }

    /// Decides where an instance would go, and claims nothing. A decision without a winner says why there is none.
    ///
    /// # Errors
    /// What it refers to does not exist or is not usable, a network has no address, the name is taken.
    pub async fn instance_dry_run(
        &self,
        caller: &Caller,
        new: NewInstance,
    ) -> Result<velum_model::decision::Decision, ServiceError> {
        let ground = self.ground_of(caller, &new).await?;
        let instance = self.instance_of(caller, &new, &ground);
        self.must_be_a_new_name(&instance).await?;
        let planner = self.planner(ground.zone.id).await?;
        let ids = self.ids_for(&new);
        let ask = plan_ask(&instance, &new, &ground, &ids, Claiming::No);
        match planner.plan(ask).await {
            Ok(claimed) => match claimed.plan() {
                Some(plan) => Ok(plan.decision.as_ref().clone()),
                None => Err(outpaced()),
            },
            Err(NoPlan::NoCapacity(decision)) => Ok(*decision),
            Err(none) => Err(refusal(none, &ground)),
        }
    }

    /// Refuses a name that is taken, as the commit would that a dry run does not make.
    async fn must_be_a_new_name(&self, instance: &Instance) -> Result<(), ServiceError> {
        let alike = InstanceFilter {
            name: Some(instance.name.clone()),
            zone: Some(instance.zone),
            ..InstanceFilter::default()
        };
        let first = Page {
            limit: 1,
            after: None,
        };
        let of_its_project = Scope::Project(instance.project);
        let taken = self.read().instances(of_its_project, &alike, first).await;
        let taken = taken.map_err(|error| ServiceError::from_store("look for the name", error))?;
        match taken.items.is_empty() {
            true => Ok(()),
            false => Err(ServiceError::NameTaken {
                what: "instance",
                name: instance.name.to_string(),
            }),
        }
    }

    /// Reads and checks what a new instance refers to.
    pub(super) async fn ground_of(&self, caller: &Caller, new: &NewInstance) -> Result<Ground, ServiceError> {
        check_shape(new)?;
        let failed = |error| ServiceError::from_store("read what the instance is made from", error);
        let (zone, offering, template) = tokio::try_join!(
            self.zone_named(caller, new.zone, "/zone_id"),
            async { self.offering_row(new.offering).await.map_err(failed) },
            async {
                let template = self.template_row(new.zone, caller.scope, new.template).await;
                template.map_err(failed)
            },
        )?;
        let offering =
            offering.ok_or_else(|| no_such("/compute_offering_id", "compute offering", new.offering))?;
        self.know_policy(&offering).await?;
        let template =
            template.ok_or_else(|| no_such("/template_id", "template of the zone", new.template))?;
        let virtual_bytes = virtual_bytes(&template)?;
        let root_bytes = root_bytes(new.root_size, virtual_bytes)?;
        let mut networks = Vec::with_capacity(new.networks.len());
        for (position, nic) in new.networks.iter().enumerate() {
            let network = self.network_row(zone.id, caller.scope, nic.network).await;
            let network = network.map_err(failed)?.ok_or_else(|| {
                let field = format!("/networks/{position}/network_id");
                no_such(&field, "network of the zone", nic.network)
            })?;
            if let Some(address) = nic.address.filter(|address| !network.cidr.contains(address)) {
                return Err(ServiceError::invalid(
                    format!("/networks/{position}/address"),
                    format!("{address} is not in {}", network.cidr),
                    "choose an address of the network, or leave it out to get any",
                ));
            }
            networks.push(network);
        }
        let ties = self.ties_of(caller, new).await?;
        Ok(Ground {
            zone,
            offering,
            template,
            virtual_bytes,
            root_bytes,
            networks,
            ties,
        })
    }

    /// What the affinity groups of a new instance want: groups of its zone and of the project that it will be of.
    async fn ties_of(&self, caller: &Caller, new: &NewInstance) -> Result<Vec<AffinityTie>, ServiceError> {
        let mut ties: Vec<AffinityTie> = Vec::with_capacity(new.affinity_groups.len());
        for (position, id) in new.affinity_groups.iter().enumerate() {
            let field = format!("/affinity_group_ids/{position}");
            if ties.iter().any(|tie| tie.group == *id) {
                return Err(ServiceError::invalid(
                    field,
                    format!("{id} is there twice"),
                    "name each group once",
                ));
            }
            let group = self.affinity_group_row(new.zone, caller.scope, *id).await;
            let group = group
                .map_err(|error| ServiceError::from_store("read the affinity group", error))?
                .filter(|group| group.project == caller.scope.project())
                .ok_or_else(|| no_such(&field, "affinity group of the zone and project", id))?;
            ties.push(group.as_ref().into());
        }
        Ok(ties)
    }

    pub(super) fn instance_of(&self, caller: &Caller, new: &NewInstance, ground: &Ground) -> Instance {
        Instance {
            id: self.fresh(),
            zone: ground.zone.id,
            project: caller.scope.project(),
            name: new.name.clone(),
            offering: ground.offering.id,
            template: ground.template.id,
            vcpus: ground.offering.vcpus,
            memory: ground.offering.memory,
            user_data: new.user_data.clone(),
            expected_lifetime: new.expected_lifetime.or(ground.offering.expected_lifetime),
            state: InstanceState::Creating,
            run: None,
            last_host: None,
            decision: None,
            generation: 1,
            created_at: self.now(),
        }
    }

    pub(super) fn ids_for(&self, new: &NewInstance) -> Ids {
        Ids {
            run: self.fresh(),
            root: DiskIds {
                volume: self.fresh(),
                layer: self.fresh(),
            },
            nics: new.networks.iter().map(|_| self.fresh()).collect(),
        }
    }

    /// Everything that the accept makes true (law 1).
    pub(super) fn create_commit(
        &self,
        caller: &Caller,
        (instance, ground): (&Instance, &Ground),
        (ids, plan): (&Ids, &Plan),
        keyed: Option<&Keyed<Accepted<InstanceDetail>>>,
    ) -> Result<(Commit, Accepted<InstanceDetail>), ServiceError> {
        let run = self.run_of(instance, ids.run, plan, first_run_generation(instance.generation));
        let mut instance = instance.clone();
        instance.decision = Some(plan.decision.id);
        let root = self.root_volume(&instance, ground, ids, plan)?;
        let nics = self.nics_of(&instance, ground, ids, plan);
        let (operation, write, fence) = self.accept(
            caller,
            Acceptance {
                kind: OperationKindName::InstanceCreate,
                subject: Subject::Instance(instance.id),
                project: instance.project,
                shard: ground.zone.shard,
                params: InstanceCreate {
                    run: run.id,
                    root_volume: root.id,
                    excluded: Vec::new(),
                },
                also_locks: None,
                preempts: false,
            },
        )?;
        let mut changes = vec![
            Change::InsertInstance(Box::new(instance.clone())),
            Change::InsertRun(run.clone()),
            Change::InsertVolume(Box::new(root.clone())),
        ];
        let affinity_groups: Vec<AffinityGroupId> = ground.ties.iter().map(|tie| tie.group).collect();
        if !affinity_groups.is_empty() {
            changes.push(Change::JoinAffinityGroups {
                instance: instance.id,
                groups: affinity_groups.clone(),
            });
        }
        changes.extend(take_places(&run, &ground.ties));
        changes.extend(self.layer_for_root(plan, ids.root, ground.template.id, ground.virtual_bytes));
        for (nic, (range, _)) in nics.iter().zip(&plan.addresses) {
            changes.push(Change::InsertNic {
                nic: nic.clone(),
                range: *range,
                address_id: self.fresh(),
            });
        }
        let about = ("instances", instance.id.uuid());
        let mut created = accepted_event(caller, "instance.created", instance.project, operation, about);
        created.data = json!({ "name": instance.name, "compute_host": run.compute_host });
        instance.run = Some(run);
        let accepted = Accepted {
            resource: InstanceDetail {
                instance,
                nics,
                volumes: vec![root],
                affinity_groups,
            },
            operation,
        };
        let commit = Commit {
            fence: Some(fence),
            idempotency: keyed.map(|keyed| keyed.idempotency(&accepted)),
            operation: Some(write),
            changes,
            decision: Some(plan.decision.clone()),
            events: vec![created],
        };
        Ok((commit, accepted))
    }

    fn root_volume(
        &self,
        instance: &Instance,
        ground: &Ground,
        ids: &Ids,
        plan: &Plan,
    ) -> Result<Volume, ServiceError> {
        // The plan has a pool for the one disk that was asked for.
        let pool = plan.choice.pools.first().ok_or_else(outpaced)?;
        let name = format!("root-{}", instance.id.uuid().simple());
        Ok(Volume {
            id: ids.root.volume,
            zone: instance.zone,
            project: instance.project,
            name: velum_model::Name::new(name).unwrap_or_else(|_| instance.name.clone()),
            used_as: VolumeUse::Root,
            offering: None,
            pool: pool.pool,
            size: Bytes::new(pool.bytes).unwrap_or(ground.root_bytes),
            parent: None,
            backend_id: None,
            state: VolumeState::Creating,
            attachment: Some(VolumeAttachment {
                instance: instance.id,
                slot: 0,
            }),
            generation: 1,
            created_at: self.now(),
        })
    }

    fn nics_of(&self, instance: &Instance, ground: &Ground, ids: &Ids, plan: &Plan) -> Vec<Nic> {
        let places = ground.networks.iter().zip(&ids.nics).zip(&plan.addresses);
        (0u16..)
            .zip(places)
            .map(|(slot, ((network, id), (_, address)))| Nic {
                id: *id,
                instance: instance.id,
                network: network.id,
                project: instance.project,
                slot,
                mac: self.next_mac(),
                address: *address,
                created_at: self.now(),
            })
            .collect()
    }
}

/// Whether a plan claims.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Claiming {
    Yes,
    No,
}

pub(super) fn plan_ask(
    instance: &Instance,
    new: &NewInstance,
    ground: &Ground,
    ids: &Ids,
    claiming: Claiming,
) -> PlanAsk {
    let mut nic_kinds: Vec<u16> = ground.networks.iter().map(|n| n.link.kind.nic_kind()).collect();
    nic_kinds.sort_unstable();
    nic_kinds.dedup();
    let mut ask = ask_for(instance, &ground.offering, nic_kinds);
    let root = root_disk(
        &ground.offering,
        ground.template.id,
        ground.virtual_bytes,
        ground.root_bytes.get(),
    );
    ask.disks.push(root);
    ask.ties.clone_from(&ground.ties);
    PlanAsk {
        ask,
        run: ids.run,
        disks: vec![ids.root],
        nics: ids
            .nics
            .iter()
            .zip(&new.networks)
            .map(|(id, nic)| (*id, nic.network, nic.address))
            .collect(),
        policy: ground.offering.policy,
        dry_run: claiming == Claiming::No,
    }
}

fn check_shape(new: &NewInstance) -> Result<(), ServiceError> {
    if new.networks.is_empty() || new.networks.len() > NICS_MAX {
        return Err(ServiceError::invalid(
            "/networks",
            format!(
                "an instance has 1 to {NICS_MAX} networks, not {}",
                new.networks.len()
            ),
            "list the networks that it is to be plugged into",
        ));
    }
    if new.affinity_groups.len() > AFFINITY_GROUPS_MAX {
        let groups = new.affinity_groups.len();
        return Err(ServiceError::invalid(
            "/affinity_group_ids",
            format!("{groups} groups are more than {AFFINITY_GROUPS_MAX}"),
            "leave some out",
        ));
    }
    if new.user_data.len() > USER_DATA_MAX {
        return Err(ServiceError::invalid(
            "/user_data",
            format!("{} bytes are more than {USER_DATA_MAX}", new.user_data.len()),
            "keep what is large elsewhere and let the user data fetch it",
        ));
    }
    Ok(())
}

fn root_bytes(wanted: Option<Bytes>, virtual_bytes: u64) -> Result<Bytes, ServiceError> {
    let field = "/root_size_bytes";
    match wanted {
        Some(wanted) if wanted.get() < virtual_bytes => Err(ServiceError::invalid(
            field,
            format!(
                "{} bytes are less than the template's {virtual_bytes}",
                wanted.get()
            ),
            "give at least the template's size, or leave it out",
        )),
        Some(wanted) => Ok(wanted),
        None => Bytes::new(virtual_bytes).map_err(|error| {
            ServiceError::invalid(field, format!("the template's size {error}"), "say a size")
        }),
    }
}

pub(super) fn refusal(none: NoPlan, ground: &Ground) -> ServiceError {
    let network = match &none {
        NoPlan::NoAddress(id) | NoPlan::AddressTaken(id, _) | NoPlan::AddressInNoRange(id, _) => Some(*id),
        _ => None,
    };
    none.into_error(|| {
        let named = ground.networks.iter().find(|row| Some(row.id) == network);
        named.map_or_else(String::new, |row| row.name.to_string())
    })
}
