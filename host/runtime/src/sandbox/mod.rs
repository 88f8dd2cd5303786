//! Where the code of drivers and providers runs: a fresh store a call, which is thrown away whatever came of it. The same in
//! the plugin's own process, where it always runs in a server, and in the server's, where benches compare it.

pub mod ask;
mod connect;
pub mod host;
pub mod work;

use std::{sync::Arc, time::Duration};

use velum_model::plugin::World;
use wasmtime::{
    Engine, Store, StoreLimitsBuilder, UpdateDeadline,
    component::{Component, InstancePre},
};

use self::{
    ask::Desk,
    host::CallHost,
    work::{Bounds, Ended, Verb, Work},
};
use crate::{
    engine::{INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES, TICK, Ticker},
    grant::log::clean,
    world::{self, hypervisor::v0_1::execute as hypervisor, storage::v0_1::execute as storage},
};

/// Handles that one call may hold: it has a target, a run and a few connections.
const HANDLES: usize = 1000;
/// Characters of what is told of a trap.
const TRAP_CHARS: usize = 300;

/// Guest code ran too long.
#[derive(Debug, thiserror::Error)]
#[error("it computed longer than it may")]
struct Overtime;

/// Where the exports of a component are.
enum Exports {
    Driver(hypervisor::Exports),
    Provider(storage::Exports),
}

/// A component that can be called.
pub struct Sandbox {
    pre: InstancePre<CallHost>,
    exports: Exports,
    bounds: Bounds,
    ticker: Arc<Ticker>,
}

impl Sandbox {
    /// Links a component. `interfaces` are the optional ones that it has.
    ///
    /// # Errors
    /// When it cannot be linked or lacks an export; the registry has found both before.
    pub fn new(
        engine: &Engine,
        component: &Component,
        (world, interfaces): (World, &[String]),
        bounds: Bounds,
        ticker: Arc<Ticker>,
    ) -> wasmtime::Result<Self> {
        let pre = world::linker(engine)?.instantiate_pre(component)?;
        let exports = match world {
            World::StorageProvider => Exports::Provider(storage::Exports::find(&pre)?),
            World::HypervisorDriver | World::PlacementPolicy => {
                Exports::Driver(hypervisor::Exports::find(&pre, interfaces)?)
            }
        };
        Ok(Self {
            pre,
            exports,
            bounds,
            ticker,
        })
    }

    /// Makes one call. It ends by itself only within [`Bounds::guest_time_ms`] of computing: whoever waits has a deadline
    /// and drops the future.
    pub async fn run(&self, work: Work, desk: Arc<dyn Desk>) -> Ended {
        let _ticking = self.ticker.running();
        let Work { place, verb } = work;
        let mut store = self.store(CallHost::new(place, desk, self.limits(), self.bounds.host_calls));
        let called = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            match (verb, &self.exports) {
                (Verb::Driver(verb), Exports::Driver(exports)) => {
                    hypervisor::call(&mut store, &instance, exports, verb).await
                }
                (Verb::Provider(verb), Exports::Provider(exports)) => {
                    storage::call(&mut store, &instance, exports, verb).await
                }
                _ => Err(wasmtime::Error::msg("it is of another world")),
            }
        };
        match called.await {
            Ok(answer) => Ended::Answer(answer),
            Err(error) if error.is::<Overtime>() => Ended::Overtime,
            Err(error) => Ended::Trapped(clean(&format!("{error:#}"), TRAP_CHARS)),
        }
    }

    fn limits(&self) -> wasmtime::StoreLimits {
        StoreLimitsBuilder::new()
            .memory_size(usize::try_from(self.bounds.memory_bytes).unwrap_or(usize::MAX))
            .table_elements(TABLE_ELEMENTS)
            .instances(INSTANCES as usize)
            .tables(TABLES as usize)
            .memories(MEMORIES as usize)
            .trap_on_grow_failure(true)
            .build()
    }

    fn store(&self, host: CallHost) -> Store<CallHost> {
        let mut store = Store::new(self.pre.engine(), host);
        store.limiter(CallHost::limiter);
        store.set_hostcall_fuel(usize::try_from(self.bounds.transfer_bytes).unwrap_or(usize::MAX));
        store.set_max_component_handles(HANDLES);
        store.set_epoch_deadline(1);
        let guest_time = Duration::from_millis(self.bounds.guest_time_ms);
        let mut ticks_left = guest_time.as_millis() / TICK.as_millis().max(1);
        store.epoch_deadline_callback(move |_| {
            // A tick that passed in a host call counts once: what remains is time in guest code.
            ticks_left = ticks_left.checked_sub(1).ok_or(Overtime)?;
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }
}
