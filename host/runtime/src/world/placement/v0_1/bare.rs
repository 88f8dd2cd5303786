//! An instance that is asked word for word: what conformance tests see of a policy.

use std::sync::Arc;

use velum_model::port::placement::{PolicyAsk, PolicyDescriptor, PolicyFailure};
use wasmtime::{FrameInfo, Store, WasmBacktrace};

use super::{PolicyComponent, PolicyHost, answer_bytes, asked, bindings, checked, failure, trapped, wit};
use crate::{grant::log::clean, plugin::Shared};

/// Characters of what a policy says of its configuration.
const MAX_WORDS: usize = 1000;

/// A function's name as it is linked, or its number where the component has no names.
fn function(frame: &FrameInfo) -> String {
    frame
        .func_name()
        .map_or_else(|| format!("function {}", frame.func_index()), str::to_owned)
}

/// A policy's instance to which everything can be said that the contract allows, in any order: the planner's instances
/// are configured once, loaded before they are asked, and dropped at the first failure, so that much of the contract is
/// never seen of them. Limits and fuel are the same; the breaker and the counters do not notice.
pub struct BarePolicy {
    plugin: Arc<Shared>,
    store: Store<PolicyHost>,
    guest: bindings::PlacementPolicy,
    fuel: u64,
    /// Rows that it was given last.
    rows: usize,
}

impl BarePolicy {
    /// A fresh instance that nothing was said to.
    ///
    /// # Errors
    /// [`PolicyFailure`] when it traps as it starts.
    pub(crate) fn new(component: &PolicyComponent, plugin: Arc<Shared>) -> Result<Self, PolicyFailure> {
        let (store, guest) = component.instantiated(&plugin)?;
        Ok(Self {
            plugin,
            store,
            guest,
            fuel: 0,
            rows: 0,
        })
    }

    fn call<R>(
        &mut self,
        fuel: u64,
        call: impl FnOnce(&mut Store<PolicyHost>, &wit::Guest) -> wasmtime::Result<R>,
    ) -> Result<R, PolicyFailure> {
        self.store.set_fuel(fuel).map_err(|error| trapped(&error))?;
        let answer = call(&mut self.store, self.guest.velum_placement_policy());
        self.fuel = fuel.saturating_sub(self.store.get_fuel().unwrap_or(0));
        answer.map_err(|error| failure(&error))
    }

    fn setup_fuel(&self) -> u64 {
        self.plugin.bounds.fuel_setup
    }

    fn row_fuel(&self, rows: usize) -> u64 {
        self.plugin.bounds.fuel(&self.plugin.limits, rows)
    }

    /// What it says that it is, checked as the server does.
    ///
    /// # Errors
    /// [`PolicyFailure`].
    pub fn describe(&mut self) -> Result<PolicyDescriptor, PolicyFailure> {
        let fuel = self.setup_fuel();
        let said = self.call(fuel, |store, guest| guest.call_describe(store))?;
        checked(said).map_err(PolicyFailure::Nonsense)
    }

    /// Gives it a configuration, as text; the inner error is its refusal.
    ///
    /// # Errors
    /// [`PolicyFailure`].
    pub fn configure(&mut self, json: &str) -> Result<Result<(), String>, PolicyFailure> {
        let fuel = self.setup_fuel();
        let said = self.call(fuel, |store, guest| guest.call_configure(store, json))?;
        Ok(said.map_err(|words| clean(&words, MAX_WORDS)))
    }

    /// Gives it an inventory of any shape; answers whether it took it.
    ///
    /// # Errors
    /// [`PolicyFailure`].
    pub fn load(&mut self, epoch: u64, rows: u32, values: &[u32]) -> Result<bool, PolicyFailure> {
        self.rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let fuel = self.row_fuel(self.rows);
        self.call(fuel, |store, guest| guest.call_load(store, epoch, rows, values))
    }

    /// Changes rows; answers whether it did.
    ///
    /// # Errors
    /// [`PolicyFailure`].
    pub fn apply(
        &mut self,
        before: u64,
        after: u64,
        rows: &[u32],
        values: &[u32],
    ) -> Result<bool, PolicyFailure> {
        let fuel = self.row_fuel(rows.len());
        self.call(fuel, |store, guest| {
            guest.call_apply(store, before, after, rows, values)
        })
    }

    /// Asks it about rows; `expected` is for how many the fuel is. Its answer as it is.
    ///
    /// # Errors
    /// [`PolicyFailure`].
    pub fn score(
        &mut self,
        epoch: u64,
        ask: &PolicyAsk,
        rows: &[u32],
        expected: usize,
    ) -> Result<Vec<u32>, PolicyFailure> {
        let fuel = self.row_fuel(expected);
        let ask = asked(ask);
        self.store.set_hostcall_fuel(answer_bytes(expected));
        self.call(fuel, |store, guest| guest.call_score(store, epoch, &ask, rows))
    }

    /// Asks it and stops it after `fuel`: the functions that it was in, the innermost first, by the names of the component's
    /// name section; nothing when it had answered by then. A profile is made of many such stops; the instance is over after
    /// one.
    ///
    /// # Errors
    /// [`PolicyFailure`] when it trapped by itself.
    pub fn stopped_at(
        &mut self,
        fuel: u64,
        (epoch, ask): (u64, &PolicyAsk),
        rows: &[u32],
    ) -> Result<Option<Vec<String>>, PolicyFailure> {
        self.store.set_fuel(fuel).map_err(|error| trapped(&error))?;
        let expected = if rows.is_empty() { self.rows } else { rows.len() };
        self.store.set_hostcall_fuel(answer_bytes(expected));
        let ask = asked(ask);
        let guest = self.guest.velum_placement_policy();
        let Err(error) = guest.call_score(&mut self.store, epoch, &ask, rows) else {
            return Ok(None);
        };
        match failure(&error) {
            PolicyFailure::OutOfFuel => {}
            other => return Err(other),
        }
        let stack = error.downcast_ref::<WasmBacktrace>();
        let frames = stack.map(WasmBacktrace::frames).unwrap_or_default();
        Ok(Some(frames.iter().map(function).collect()))
    }

    /// Fuel that the last call used.
    #[must_use]
    pub const fn fuel_used(&self) -> u64 {
        self.fuel
    }

    /// Fuel that a question about so many rows may use.
    #[must_use]
    pub fn fuel_allowed(&self, rows: usize) -> u64 {
        self.row_fuel(rows)
    }

    /// Bytes of linear memory that the instance holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.store.data().room.memory_bytes
    }
}

impl std::fmt::Debug for BarePolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BarePolicy")
            .field("plugin", &self.plugin)
            .field("fuel", &self.fuel)
            .finish_non_exhaustive()
    }
}
