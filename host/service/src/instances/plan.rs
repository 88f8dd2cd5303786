//! What is placed, and what a placement commits.

use velum_model::{
    TemplateId,
    affinity::AffinityTie,
    id::*,
    infrastructure::ComputeOffering,
    instance::{Instance, ObservedState, Run, RunRole},
    quantity::Bytes,
    storage::{Layer, Template},
};
use velum_placement::{Ask, DiskAsk, TemplateAsk};
use velum_store::Change;

use crate::{
    error::ServiceError,
    planner::{DiskIds, Plan},
    services::Services,
};

/// Runs of one accepted start: the first and those that replace it elsewhere. The gate of a compute host refuses a
/// lower generation of a run than it has seen, so generations only rise: each accept gets this many, counted from the
/// instance's own generation, which rises with every accept. An operation tries far fewer hosts.
const RUNS_AN_ACCEPT: u64 = 16;

/// The first run generation of an accept that makes the instance's generation `generation`.
pub(super) const fn first_run_generation(generation: u64) -> u64 {
    generation.saturating_mul(RUNS_AN_ACCEPT)
}

/// What an instance needs of a compute host.
pub(super) fn ask_for(instance: &Instance, offering: &ComputeOffering, nic_kinds: Vec<u16>) -> Ask {
    Ask {
        instance: instance.id,
        project: instance.project,
        vcpus: instance.vcpus,
        memory: instance.memory,
        // An offering keeps its shape, and instances keep it.
        resources: offering.resources.clone(),
        arch: None,
        expected_lifetime: instance.expected_lifetime,
        // The planner's to say: an ask waits for its turn.
        now_minute: 0,
        host_tags: offering.host_tags.clone(),
        nic_kinds,
        disks: Vec::new(),
        pinned: Vec::new(),
        excluded: Vec::new(),
        previous: instance.last_host,
        ties: Vec::new(),
        ending: None,
    }
}

/// The places that a new run takes in the groups of its instance; none without any.
pub(super) fn take_places(run: &Run, ties: &[AffinityTie]) -> Option<Change> {
    (!ties.is_empty()).then(|| Change::TakePlaces {
        run: run.id,
        compute_host: run.compute_host,
        ties: ties.to_vec(),
    })
}

/// A root volume that is cloned from a template.
pub(super) fn root_disk(
    offering: &ComputeOffering,
    template: TemplateId,
    virtual_bytes: u64,
    bytes: u64,
) -> DiskAsk {
    DiskAsk {
        bytes,
        storage_tags: offering.storage_tags.clone(),
        template: Some(TemplateAsk {
            id: template,
            layer_bytes: virtual_bytes,
        }),
    }
}

impl Services {
    /// Makes sure that the planners know the policy of an offering that another server may have changed a moment ago.
    pub(super) async fn know_policy(&self, offering: &ComputeOffering) -> Result<(), ServiceError> {
        match offering.policy {
            Some(policy) if self.store().is_shared() => self.relearn_policy(policy).await,
            _ => Ok(()),
        }
    }

    /// The run that a plan made.
    pub(super) fn run_of(&self, instance: &Instance, id: RunId, plan: &Plan, generation: u64) -> Run {
        Run {
            id,
            instance: instance.id,
            compute_host: plan.choice.host,
            generation,
            role: RunRole::Active,
            vcpus: instance.vcpus,
            memory: instance.memory,
            resources: plan.resources.clone(),
            observed: ObservedState::Unknown,
            observed_at: None,
            created_at: self.now(),
            expected_end_at: plan.expected_end_at,
        }
    }

    /// The layer that a root volume needs, unless its pool has one already.
    pub(super) fn layer_for_root(
        &self,
        plan: &Plan,
        ids: DiskIds,
        template: TemplateId,
        virtual_bytes: u64,
    ) -> Option<Change> {
        let wanted = plan.wants_layer.first().copied().unwrap_or(false);
        let pool = plan.choice.pools.first().filter(|_| wanted)?;
        Some(Change::InsertLayer(Layer {
            id: ids.layer,
            pool: pool.pool,
            template,
            size: Bytes::new(virtual_bytes).ok()?,
            backend_id: None,
            ready: false,
            created_at: self.now(),
        }))
    }
}

/// The size that guests of a template see at least; none while it is not ready.
pub(super) fn virtual_bytes(template: &Template) -> Result<u64, ServiceError> {
    template
        .virtual_bytes
        .filter(|_| template.state == velum_model::storage::TemplateState::Ready)
        .ok_or_else(|| {
            ServiceError::invalid(
                "/template_id",
                format!("the template {} is not ready", template.name),
                "wait until its upload is checked, or use another",
            )
        })
}
