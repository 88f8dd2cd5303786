//! What several benches need: zones of many compute hosts, clients that ask as fast as they are answered, policies with and without
//! a sandbox around them, peers that are measured in the same run.

pub mod accepts;
pub mod clients;
pub mod decision;
pub mod field;
pub mod lists;
pub mod native;
pub mod placement;
pub mod postgres;
pub mod processes;
pub mod rates;
pub mod sandbox;

/// The options of a bench: what stands behind its name on the command line.
#[must_use]
pub fn arguments<T: clap::Parser>() -> T {
    T::parse_from(std::env::args().skip(1))
}
