//! Bodies about network offerings, checked.

use velum_model::infrastructure::NetworkOfferingUse;
use velum_service::{ChangeNetworkOffering, NewNetworkOffering};
use velum_wire::{CreateNetworkOfferingBody, NetworkKind, UpdateNetworkOfferingBody};

use crate::{error::Answered, take::Fields};

/// A network offering to be made.
pub fn new(body: CreateNetworkOfferingBody) -> Answered<NewNetworkOffering> {
    let mut fields = Fields::new();
    let kind = match body.kind {
        NetworkKind::Shared => NetworkOfferingUse::Shared,
    };
    let new = fields
        .name("/name", body.name)
        .map(|name| NewNetworkOffering { name, kind });
    fields.answer(new)
}

/// What is to change of one.
pub fn change(body: UpdateNetworkOfferingBody) -> Answered<ChangeNetworkOffering> {
    let mut fields = Fields::new();
    let name = fields.name_if("/name", body.name);
    fields.answer(Some(ChangeNetworkOffering { name }))
}
