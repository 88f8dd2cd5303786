//! Image stores.

mod create;
mod delete;

use velum_model::{Name, id::ZoneId, infrastructure::ImageStorePlace};

/// An image store to be registered. It must answer before anything is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NewImageStore {
    /// Its zone.
    pub zone: ZoneId,
    /// Unique in the zone.
    pub name: Name,
    /// Where it is.
    pub place: ImageStorePlace,
}
