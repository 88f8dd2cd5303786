//! The runtime of a simulation: one thread, and a clock that goes on only when nobody has anything to do.

use velum_model::id::OperationId;

use crate::wire::{About, Delivery, Director, Fate, Moment, When};

/// Runs something in simulated time. Whatever it began ends with it.
pub fn in_simulation<T>(what: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?
        .block_on(what)
}

/// Nothing goes wrong.
#[derive(Debug)]
pub struct Nothing;

impl Director for Nothing {
    fn at_commit(&self, _: u32, _: When, _: OperationId, _: &Moment) -> Fate {
        Fate::Goes
    }
    fn at_call(&self, _: u32, _: About) -> (Fate, Delivery) {
        (Fate::Goes, Delivery::default())
    }
    fn answered(&self, _: u32, _: About, _: &str) {}
}
