//! Reconcilers take no input: they look at what is and at what should be (law 9).

mod links;
mod observe;

pub use observe::{ObserveLimits, Observer};
