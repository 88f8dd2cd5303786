//! An instance as it is shown.

use velum_model::{
    infrastructure::Nic,
    instance::{Instance, InstanceState, ObservedState, Run},
    storage::Volume,
};
use velum_service::{Accepted, InstanceDetail, StoredAnswer};
use velum_wire::{InstanceLinks, InstanceNicView, InstanceView, InstanceVolumeView, RunView};

use crate::answer;

/// An instance with what hangs on it, as it is shown.
pub fn detailed(detail: &InstanceDetail) -> InstanceView {
    let InstanceDetail {
        instance,
        nics,
        volumes,
        affinity_groups,
    } = detail;
    InstanceView {
        id: instance.id.uuid(),
        zone_id: instance.zone.uuid(),
        project_id: instance.project.uuid(),
        name: instance.name.to_string(),
        compute_offering_id: instance.offering.uuid(),
        template_id: instance.template.uuid(),
        vcpus: instance.vcpus.get(),
        memory_mib: instance.memory.get(),
        state: state(instance.state),
        run: instance.run.as_ref().map(run),
        compute_host_id: instance.run.as_ref().map(|run| run.compute_host.uuid()),
        last_compute_host_id: instance.last_host.map(|id| id.uuid()),
        addresses: nics.iter().map(|nic| nic.address.to_string()).collect(),
        nics: nics.iter().map(nic).collect(),
        volumes: volumes.iter().map(volume).collect(),
        affinity_group_ids: affinity_groups.iter().map(|id| id.uuid()).collect(),
        decision_id: instance.decision.map(|id| id.uuid()),
        user_data_bytes: instance.user_data.len() as u64,
        expected_lifetime_s: instance.expected_lifetime.map(u64::from),
        links: links(instance),
        generation: instance.generation,
        created_at: instance.created_at.to_string(),
    }
}

/// 202: an operation works on it.
pub fn accepted(accepted: &Accepted<InstanceDetail>) -> StoredAnswer {
    let detail = &accepted.resource;
    answer::accepted(accepted.operation, detail.instance.generation, &detailed(detail))
}

fn links(instance: &Instance) -> InstanceLinks {
    let this = format!("/v1/instances/{}", instance.id);
    InstanceLinks {
        console: format!("{this}/console"),
        console_log: format!("{this}/console-log"),
        decision: instance.decision.map(|_| format!("{this}/decision")),
        operations: format!("/v1/operations?subject=instances&subject_id={}", instance.id),
        this,
    }
}

fn run(run: &Run) -> RunView {
    RunView {
        id: run.id.uuid(),
        compute_host_id: run.compute_host.uuid(),
        generation: run.generation,
        observed: match run.observed {
            ObservedState::Unknown => velum_wire::ObservedState::Unknown,
            ObservedState::Off => velum_wire::ObservedState::Off,
            ObservedState::Running => velum_wire::ObservedState::Running,
            ObservedState::Paused => velum_wire::ObservedState::Paused,
            ObservedState::Crashed => velum_wire::ObservedState::Crashed,
        },
        observed_at: run.observed_at.map(|at| at.to_string()),
        expected_end_at: run.expected_end_at.map(|at| at.to_string()),
    }
}

fn nic(nic: &Nic) -> InstanceNicView {
    InstanceNicView {
        id: nic.id.uuid(),
        slot: nic.slot,
        network_id: nic.network.uuid(),
        mac: nic.mac.to_string(),
        address: nic.address.to_string(),
    }
}

fn volume(volume: &Volume) -> InstanceVolumeView {
    InstanceVolumeView {
        id: volume.id.uuid(),
        name: volume.name.to_string(),
        slot: volume.attachment.map_or(0, |at| at.slot),
        size_bytes: volume.size.get(),
        storage_pool_id: volume.pool.uuid(),
    }
}

const fn state(state: InstanceState) -> velum_wire::InstanceState {
    match state {
        InstanceState::Creating => velum_wire::InstanceState::Creating,
        InstanceState::Starting => velum_wire::InstanceState::Starting,
        InstanceState::Running => velum_wire::InstanceState::Running,
        InstanceState::Stopping => velum_wire::InstanceState::Stopping,
        InstanceState::Stopped => velum_wire::InstanceState::Stopped,
        InstanceState::Rebooting => velum_wire::InstanceState::Rebooting,
        InstanceState::Destroying => velum_wire::InstanceState::Destroying,
        InstanceState::Failed => velum_wire::InstanceState::Failed,
    }
}
