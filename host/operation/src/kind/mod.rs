//! The kinds: one file each, a table of steps and what becomes of the rows at each end. The registry is
//! [`OperationKindName::ALL`]; [`of`] has a table for every one of them.

mod bring_up;
mod compute_host_maintenance;
mod instance_create;
mod instance_destroy;
mod instance_reboot;
mod instance_start;
mod instance_stop;
mod orphan_remove;
mod take_down;
mod template_delete;
mod template_register;
mod volume_attach;
mod volume_create;
mod volume_delete;
mod volume_detach;

use velum_model::{
    fault::{Fault, code},
    instance::InstanceState,
    operation::{Operation, OperationError, OperationKindName, Subject},
};
use velum_store::{Change, Reader};

use crate::step::{Kind, StepFuture};

/// The table of a kind.
pub(crate) const fn of(name: OperationKindName) -> &'static Kind {
    match name {
        OperationKindName::InstanceCreate => &instance_create::KIND,
        OperationKindName::InstanceStart => &instance_start::KIND,
        OperationKindName::InstanceStop => &instance_stop::KIND,
        OperationKindName::InstanceReboot => &instance_reboot::KIND,
        OperationKindName::InstanceDestroy => &instance_destroy::KIND,
        OperationKindName::TemplateRegister => &template_register::KIND,
        OperationKindName::TemplateDelete => &template_delete::KIND,
        OperationKindName::VolumeCreate => &volume_create::KIND,
        OperationKindName::VolumeAttach => &volume_attach::KIND,
        OperationKindName::VolumeDetach => &volume_detach::KIND,
        OperationKindName::VolumeDelete => &volume_delete::KIND,
        OperationKindName::ComputeHostMaintenance => &compute_host_maintenance::KIND,
        OperationKindName::OrphanRemove => &orphan_remove::KIND,
    }
}

/// Version of a kind's steps, stored with each operation.
#[must_use]
pub const fn version_of(name: OperationKindName) -> u16 {
    of(name).version
}

/// Names of a kind's steps, in order.
#[must_use]
pub fn steps_of(name: OperationKindName) -> Vec<&'static str> {
    of(name).steps.iter().map(|step| step.name).collect()
}

/// A parked operation on an instance leaves it failed, claims held; a destroy that waits for it has the last word.
fn park_instance(operation: &Operation) -> Vec<Change> {
    match operation.subject {
        Subject::Instance(id) if !operation.cancel_requested => {
            vec![Change::InstanceState {
                id,
                from: InstanceState::ALL.to_vec(),
                to: InstanceState::Failed,
            }]
        }
        _ => Vec::new(),
    }
}

/// A parked operation on anything else changes no row.
const fn park_nothing(_: &Operation) -> Vec<Change> {
    Vec::new()
}

/// The publication of the volume that an attach or detach is about.
fn row_of_publication<'a>(_: &'a Reader, operation: &'a Operation) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let run = crate::drive::journal::run_of(operation);
        let (Subject::Volume(volume), Some(run)) = (operation.subject, run) else {
            return Ok(Vec::new());
        };
        Ok(vec![Change::DeletePublication { volume, run }])
    })
}

/// What a tenant is told: the sort of trouble, never the far side's own words.
fn explain(sort: &str, fault: &Fault) -> OperationError {
    let message = match fault.code {
        code::EXHAUSTED => "the far side has no room",
        code::UNREACHABLE | code::DEADLINE => "the far side did not answer in time",
        code::BUSY => "the far side was busy for too long",
        code::DENIED => "the far side refused access",
        code::FENCED => "the far side obeys a newer owner of the zone than this server",
        code::NOT_FOUND => "something that it needs is gone",
        code::UNSUPPORTED => "the far side cannot do it",
        code::TRAPPED | code::NONSENSE | code::UNAVAILABLE => "a plugin did not work",
        _ => "the far side failed",
    };
    OperationError {
        code: sort.into(),
        message: message.into(),
    }
}

fn explain_guest(fault: &Fault) -> OperationError {
    explain("hypervisor", fault)
}

fn explain_storage(fault: &Fault) -> OperationError {
    explain("storage", fault)
}

/// An image's own fault is its owner's to know in full: the words are the inspector's, not the far side's.
fn explain_image(fault: &Fault) -> OperationError {
    match fault.code {
        code::BAD_IMAGE => OperationError {
            code: "image".into(),
            message: fault.detail.clone(),
        },
        _ => explain("image", fault),
    }
}
