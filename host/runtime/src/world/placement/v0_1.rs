//! `velum:placement@0.1`: a stateful instance under fuel, and the checks of all that it answers.

mod bare;

pub use bare::BarePolicy;

use std::{sync::Arc, time::Instant};

use serde_json::Value;
use velum_model::port::placement::{
    Column, PlacementPolicy, PolicyAsk, PolicyDescriptor, PolicyFailure, registry,
};
use wasmtime::{
    ResourceLimiter, Store, StoreLimits, StoreLimitsBuilder, Trap, WasmBacktrace,
    component::{Component, HasSelf, Linker},
};

use crate::{breaker::Breaker, counters::End, grant::log::clean, plugin::Shared};

mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit/common", "../../wit/placement"],
        world: "velum:placement/placement-policy",
    });
}

use bindings::exports::velum::placement::policy as wit;

/// Columns, demands and facts that a policy may want: the registries have a dozen of each at most, and a compute host has 16 resources
/// and some attributes.
const MAX_WANTED: usize = 64;
/// Refusal codes in words.
const MAX_REFUSALS: usize = 256;
/// Length of one refusal in words, characters.
const MAX_WORDS: usize = 200;
/// Length of the schema of a configuration.
const MAX_SCHEMA_BYTES: usize = 64 * 1024;
/// Bytes that a guest may pass in one host call: the log's line, or what it says of itself.
const HOSTCALL_BYTES: usize = 64 * 1024;

/// The same when it answers a score for each of so many rows.
const fn answer_bytes(rows: usize) -> usize {
    HOSTCALL_BYTES.saturating_add(rows.saturating_mul(size_of::<u32>()))
}

/// What a policy's store holds.
pub struct PolicyHost {
    room: Room,
    plugin: Arc<Shared>,
}

/// The bounds of an instance, and how much linear memory it took.
struct Room {
    limits: StoreLimits,
    memory_bytes: usize,
}

impl ResourceLimiter for Room {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = self.limits.memory_growing(current, desired, maximum)?;
        if allowed {
            self.memory_bytes += desired.saturating_sub(current);
        }
        Ok(allowed)
    }
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.limits.memory_grow_failed(error)
    }
    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }
    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.limits.table_grow_failed(error)
    }
    fn instances(&self) -> usize {
        self.limits.instances()
    }
    fn tables(&self) -> usize {
        self.limits.tables()
    }
    fn memories(&self) -> usize {
        self.limits.memories()
    }
}

impl bindings::velum::common::log::Host for PolicyHost {
    fn log(&mut self, level: u8, message: String) {
        self.plugin.log.line(level, &message);
    }
}

/// The linker of policies: the log, nothing else.
///
/// # Errors
/// When a name is defined twice.
pub fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<PolicyHost>> {
    let mut linker = Linker::new(engine);
    bindings::velum::common::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    Ok(linker)
}

/// A policy that can be instantiated.
#[derive(Clone)]
pub struct PolicyComponent(bindings::PlacementPolicyPre<PolicyHost>);

impl PolicyComponent {
    /// Links a component.
    ///
    /// # Errors
    /// When an import or export does not fit; [`crate::registry`] has found the names before.
    pub fn new(linker: &Linker<PolicyHost>, component: &Component) -> wasmtime::Result<Self> {
        let pre = linker.instantiate_pre(component)?;
        Ok(Self(bindings::PlacementPolicyPre::new(pre)?))
    }

    /// A fresh instance, under the fuel of its setting up.
    fn instantiated(
        &self,
        plugin: &Arc<Shared>,
    ) -> Result<(Store<PolicyHost>, bindings::PlacementPolicy), PolicyFailure> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(plugin.limits.memory_bytes)
            .table_elements(100_000)
            .instances(64)
            .tables(64)
            .memories(8)
            .trap_on_grow_failure(true)
            .build();
        let host = PolicyHost {
            room: Room {
                limits,
                memory_bytes: 0,
            },
            plugin: Arc::clone(plugin),
        };
        let mut store = Store::new(self.0.engine(), host);
        store.limiter(|host| &mut host.room);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        store
            .set_fuel(plugin.bounds.fuel_setup)
            .map_err(|error| trapped(&error))?;
        let guest = self.0.instantiate(&mut store).map_err(|error| failure(&error))?;
        Ok((store, guest))
    }

    /// A fresh instance that took `config`.
    ///
    /// # Errors
    /// [`PolicyFailure`] as of `configure` and `describe`.
    pub fn instance(
        &self,
        (plugin, breaker): (Arc<Shared>, Arc<Breaker>),
        config: &Value,
    ) -> Result<Policy, PolicyFailure> {
        let fuel = plugin.bounds.fuel_setup;
        let (store, guest) = self.instantiated(&plugin)?;
        let mut policy = Policy {
            plugin,
            breaker,
            store,
            guest,
            descriptor: nothing(),
            rows: 0,
            epoch: None,
            last_fuel: 0,
            dead: None,
        };
        let text = config.to_string();
        let configured = policy.call(fuel, |store, guest| guest.call_configure(store, &text), Ok)?;
        if let Err(problem) = configured {
            return Err(PolicyFailure::Configuration(clean(&problem, MAX_WORDS)));
        }
        policy.descriptor = policy.call(fuel, |store, guest| guest.call_describe(store), checked)?;
        Ok(policy)
    }
}

/// A live instance.
pub struct Policy {
    plugin: Arc<Shared>,
    breaker: Arc<Breaker>,
    store: Store<PolicyHost>,
    guest: bindings::PlacementPolicy,
    descriptor: PolicyDescriptor,
    rows: usize,
    epoch: Option<u64>,
    last_fuel: u64,
    dead: Option<PolicyFailure>,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("descriptor", &self.descriptor)
            .field("rows", &self.rows)
            .field("epoch", &self.epoch)
            .field("dead", &self.dead)
            .finish_non_exhaustive()
    }
}

impl Policy {
    /// Calls the guest under `fuel` and checks its answer; a failure ends the instance.
    fn call<R, A>(
        &mut self,
        fuel: u64,
        call: impl FnOnce(&mut Store<PolicyHost>, &wit::Guest) -> wasmtime::Result<R>,
        check: impl FnOnce(R) -> Result<A, String>,
    ) -> Result<A, PolicyFailure> {
        if let Some(failure) = &self.dead {
            return Err(PolicyFailure::Unavailable(format!(
                "this instance failed before ({failure})"
            )));
        }
        self.store.set_fuel(fuel).map_err(|error| trapped(&error))?;
        let began = Instant::now();
        let answer = call(&mut self.store, self.guest.velum_placement_policy());
        self.last_fuel = fuel.saturating_sub(self.store.get_fuel().unwrap_or(0));
        let answer = match answer {
            Ok(answer) => check(answer).map_err(PolicyFailure::Nonsense),
            Err(error) => Err(failure(&error)),
        };
        let end = match &answer {
            Ok(_) => End::Answered,
            Err(PolicyFailure::OutOfFuel) => End::Late,
            Err(PolicyFailure::Nonsense(_)) => End::Nonsense,
            Err(_) => End::Trapped,
        };
        self.plugin.counters.call(end, began.elapsed(), self.last_fuel);
        if end.is_misbehaviour() {
            self.plugin.misbehaved(&self.breaker);
        } else if self.epoch.is_some() || self.rows > 0 {
            // That it takes a configuration is no proof that it works: only answers about rows close the breaker.
            self.breaker.worked();
        }
        if let Err(failure) = &answer {
            self.dead = Some(failure.clone());
        }
        answer
    }

    fn fuel(&self, rows: usize) -> u64 {
        self.plugin.bounds.fuel(&self.plugin.limits, rows)
    }
}

impl PlacementPolicy for Policy {
    fn descriptor(&self) -> &PolicyDescriptor {
        &self.descriptor
    }

    fn load(&mut self, epoch: u64, rows: u32, values: &[u32]) -> Result<(), PolicyFailure> {
        let count = usize::try_from(rows).unwrap_or(usize::MAX);
        let fuel = self.fuel(count);
        self.epoch = None;
        let columns = self.descriptor.columns.len();
        self.call(
            fuel,
            |store, guest| guest.call_load(store, epoch, rows, values),
            |held| {
                let given = values.len();
                held.then_some(()).ok_or_else(|| {
                    format!("it did not take {rows} rows of {columns} columns in {given} values")
                })
            },
        )?;
        self.rows = count;
        self.epoch = Some(epoch);
        Ok(())
    }

    fn apply(
        &mut self,
        before: u64,
        after: u64,
        rows: &[u32],
        values: &[u32],
    ) -> Result<bool, PolicyFailure> {
        if self.epoch != Some(before) {
            return Ok(false);
        }
        let fuel = self.fuel(rows.len());
        let applied = self.call(
            fuel,
            |store, guest| guest.call_apply(store, before, after, rows, values),
            Ok,
        )?;
        if applied {
            self.epoch = Some(after);
            // A row beyond the last is appended.
            let last = rows.iter().max().map_or(0, |row| *row as usize + 1);
            self.rows = self.rows.max(last);
        }
        Ok(applied)
    }

    fn score(&mut self, epoch: u64, ask: &PolicyAsk, rows: &[u32]) -> Result<Vec<u32>, PolicyFailure> {
        if self.epoch != Some(epoch) {
            return Err(PolicyFailure::Unavailable(format!(
                "this instance does not hold epoch {epoch}"
            )));
        }
        let expected = if rows.is_empty() { self.rows } else { rows.len() };
        let fuel = self.fuel(expected);
        let ask = asked(ask);
        self.store.set_hostcall_fuel(answer_bytes(expected));
        self.call(
            fuel,
            |store, guest| guest.call_score(store, epoch, &ask, rows),
            |scores| {
                if scores.len() == expected {
                    Ok(scores)
                } else {
                    Err(format!("it answered {} scores for {expected} rows", scores.len()))
                }
            },
        )
    }

    fn fuel_used(&self) -> u64 {
        self.last_fuel
    }
}

fn asked(ask: &PolicyAsk) -> wit::Ask {
    wit::Ask {
        demand: ask.demand.clone(),
        attrs: ask.attrs.clone(),
        facts: ask.facts.iter().map(fact).collect(),
        seed: ask.seed,
    }
}

fn fact(fact: &velum_model::port::placement::Fact) -> wit::Fact {
    wit::Fact {
        id: fact.id,
        rows: fact.rows.clone(),
        values: fact.values.clone(),
    }
}

const fn nothing() -> PolicyDescriptor {
    PolicyDescriptor {
        name: String::new(),
        row_kind: registry::ROW_COMPUTE_HOST,
        columns: Vec::new(),
        demands: Vec::new(),
        facts: Vec::new(),
        row_local: false,
        max_rows: 0,
        refusals: Vec::new(),
        config_schema: String::new(),
    }
}

/// A descriptor that can be worked with, or what is wrong with it.
fn checked(descriptor: wit::Descriptor) -> Result<PolicyDescriptor, String> {
    let wit::Descriptor {
        name,
        row_kind,
        columns,
        demands,
        facts,
        row_local,
        max_rows,
        refusals,
        config_schema,
    } = descriptor;
    if velum_model::name::Name::new(name.clone()).is_err() {
        return Err(format!("descriptor.name '{}' is no name", clean(&name, 63)));
    }
    if row_kind > registry::ROW_STORAGE_POOL {
        return Err(format!("descriptor.row-kind {row_kind} is not known"));
    }
    for (field, length) in [
        ("columns", columns.len()),
        ("demands", demands.len()),
        ("facts", facts.len()),
    ] {
        if length > MAX_WANTED {
            return Err(format!(
                "descriptor.{field} has {length} entries; {MAX_WANTED} are allowed"
            ));
        }
    }
    if refusals.len() > MAX_REFUSALS {
        return Err(format!(
            "descriptor.refusals has more than {MAX_REFUSALS} entries"
        ));
    }
    if config_schema.len() > MAX_SCHEMA_BYTES {
        return Err(format!(
            "descriptor.config-schema has more than {MAX_SCHEMA_BYTES} bytes"
        ));
    }
    let columns = columns.into_iter().map(column).collect::<Result<_, _>>()?;
    let descriptor = PolicyDescriptor {
        name,
        row_kind,
        columns,
        demands,
        facts,
        row_local,
        max_rows,
        refusals: refusals
            .into_iter()
            .map(|(code, words)| (code, clean(&words, MAX_WORDS)))
            .collect(),
        config_schema,
    };
    let resources = registry::DEMAND_RESOURCES..=registry::DEMAND_RESOURCES_LAST;
    let astray = |code: &&u16| resources.contains(*code) && descriptor.resource_of(**code).is_none();
    match descriptor.demands.iter().find(astray) {
        Some(code) => Err(format!(
            "descriptor.demands: {code} is for the resource of column {}, which has none",
            code - registry::DEMAND_RESOURCES
        )),
        None => Ok(descriptor),
    }
}

fn column(column: wit::Column) -> Result<Column, String> {
    let wit::Column { id, name, scale } = column;
    if id == registry::COLUMN_ATTRIBUTE {
        let fits = name
            .as_ref()
            .is_some_and(|name| velum_model::name::Name::new(name.clone()).is_ok());
        if !fits {
            return Err("descriptor.columns: a column of id 0 names an attribute".to_owned());
        }
    }
    if matches!(
        id,
        registry::COLUMN_FREE_RESOURCE | registry::COLUMN_TOTAL_RESOURCE
    ) {
        let fits = name
            .as_ref()
            .is_some_and(|name| velum_model::resource::ResourceName::new(name.clone()).is_ok());
        if !fits {
            return Err(format!(
                "descriptor.columns: a column of id {id} names a resource"
            ));
        }
    }
    if !(-9..=9).contains(&scale) {
        return Err(format!(
            "descriptor.columns: scale {scale} is not within -9 and 9"
        ));
    }
    Ok(Column { id, name, scale })
}

fn failure(error: &wasmtime::Error) -> PolicyFailure {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => PolicyFailure::OutOfFuel,
        _ => trapped(error),
    }
}

/// What ended it, and the functions of its own that it was in, the innermost first: what a panic goes through before it ends is
/// not what an author looks for.
fn trapped(error: &wasmtime::Error) -> PolicyFailure {
    let why = error.root_cause().to_string();
    let stack = error.downcast_ref::<WasmBacktrace>();
    let frames = stack.map(WasmBacktrace::frames).unwrap_or_default();
    let own: Vec<String> = frames
        .iter()
        .filter_map(|frame| frame.func_name())
        .map(|name| format!("{:#}", rustc_demangle::demangle(name)))
        .filter(|name| !OF_PANICS.iter().any(|part| name.contains(part)))
        .take(3)
        .collect();
    let words = match own.as_slice() {
        [] => why,
        own => format!("{why}, in {}", own.join(", called by ")),
    };
    PolicyFailure::Trapped(clean(&words, 300))
}

/// Parts of the names of Rust's own functions that a panic goes through.
const OF_PANICS: [&str; 5] = [
    "panic",
    "rust_abort",
    "__rust",
    "std::sys::",
    "core::result::unwrap_failed",
];
