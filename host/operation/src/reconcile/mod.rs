//! Reconcilers take no input: they look at what is and at what should be (law 9).

mod inventory;
mod links;
mod observe;
mod orphans;

pub use observe::{ObserveLimits, Observer};
pub use orphans::{OrphanLimits, Reconciler};
