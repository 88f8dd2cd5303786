//! Bodies about disk offerings, checked.

use velum_service::{ChangeDiskOffering, NewDiskOffering};
use velum_wire::{CreateDiskOfferingBody, UpdateDiskOfferingBody};

use crate::{error::Answered, take::Fields};

/// A disk offering to be made.
pub fn new(body: CreateDiskOfferingBody) -> Answered<NewDiskOffering> {
    let mut fields = Fields::new();
    let name = fields.name("/name", body.name);
    let size = fields.quantity_if("/size_bytes", body.size_bytes);
    let storage_tags = fields.names("/storage_tags", body.storage_tags);
    let new = name
        .zip(storage_tags)
        .map(|(name, storage_tags)| NewDiskOffering {
            name,
            size,
            storage_tags,
        });
    fields.answer(new)
}

/// What is to change of one.
pub fn change(body: UpdateDiskOfferingBody) -> Answered<ChangeDiskOffering> {
    let mut fields = Fields::new();
    let change = ChangeDiskOffering {
        name: fields.name_if("/name", body.name),
        storage_tags: fields.names_if("/storage_tags", body.storage_tags),
    };
    fields.answer(Some(change))
}
