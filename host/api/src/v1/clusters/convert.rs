//! Bodies about clusters, checked.

use velum_model::{Id, quantity::Overcommit};
use velum_service::{ChangeCluster, NewCluster};
use velum_wire::{CreateClusterBody, UpdateClusterBody};

use crate::{error::Answered, take::Fields};

/// A cluster to be made.
pub fn new(body: CreateClusterBody) -> Answered<NewCluster> {
    let mut fields = Fields::new();
    let name = fields.name("/name", body.name);
    let driver = fields.name("/driver", body.driver);
    let cpu = fields.quantity_if("/cpu_overcommit_permille", body.cpu_overcommit_permille);
    let memory = fields.quantity_if("/memory_overcommit_permille", body.memory_overcommit_permille);
    let new = name.zip(driver).map(|(name, driver)| NewCluster {
        pod: Id::from_uuid(body.pod_id),
        name,
        driver,
        cpu_overcommit: cpu.unwrap_or(Overcommit::NONE),
        memory_overcommit: memory.unwrap_or(Overcommit::NONE),
    });
    fields.answer(new)
}

/// What is to change of one.
pub fn change(body: UpdateClusterBody) -> Answered<ChangeCluster> {
    let mut fields = Fields::new();
    let change = ChangeCluster {
        name: fields.name_if("/name", body.name),
        cpu_overcommit: fields.quantity_if("/cpu_overcommit_permille", body.cpu_overcommit_permille),
        memory_overcommit: fields.quantity_if("/memory_overcommit_permille", body.memory_overcommit_permille),
        dedicated_to: body.dedicated_to.map(|to| to.map(Id::from_uuid)),
    };
    fields.answer(Some(change))
}
