//! A disk offering as it is shown.

use velum_model::infrastructure::DiskOffering;
use velum_wire::DiskOfferingView;

use crate::v1::compute_hosts::view::texts;

/// A disk offering as it is shown.
pub fn view(offering: &DiskOffering) -> DiskOfferingView {
    DiskOfferingView {
        id: offering.id.uuid(),
        name: offering.name.to_string(),
        size_bytes: offering.size.map(|size| size.get()),
        storage_tags: texts(&offering.storage_tags),
        generation: offering.generation,
        created_at: offering.created_at.to_string(),
    }
}
