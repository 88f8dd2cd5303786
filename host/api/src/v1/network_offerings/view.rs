//! A network offering as it is shown.

use velum_model::infrastructure::{NetworkOffering, NetworkOfferingUse};
use velum_wire::{NetworkKind, NetworkOfferingView};

/// A network offering as it is shown.
pub fn view(offering: &NetworkOffering) -> NetworkOfferingView {
    NetworkOfferingView {
        id: offering.id.uuid(),
        name: offering.name.to_string(),
        kind: match offering.kind {
            NetworkOfferingUse::Shared => NetworkKind::Shared,
        },
        generation: offering.generation,
        created_at: offering.created_at.to_string(),
    }
}
