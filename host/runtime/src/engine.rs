//! The two engines: policies compute under fuel and repeat bit for bit; drivers wait for host calls and are
//! interrupted by epochs.

use std::{
    fmt::Write as _,
    hash::{Hash as _, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use velum_model::plugin::World;
use wasmparser::WasmFeatures;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy};

/// Stack of guest code: a policy or driver needs some 10 KiB; interpreters recurse.
const WASM_STACK_BYTES: usize = 512 * 1024;
/// Stack of one driver call with the host functions beneath it.
const ASYNC_STACK_BYTES: usize = 2 << 20;
/// Linear memory is addressed by 32 bits.
const MEMORY_MOST: usize = 4 << 30;
/// Core instances, memories and tables of one call, and elements of one table: a program has some of each, an interpreter with its
/// libraries a dozen.
pub const INSTANCES: u32 = 64;
/// See [`INSTANCES`].
pub const MEMORIES: u32 = 8;
/// See [`INSTANCES`].
pub const TABLES: u32 = 64;
/// See [`INSTANCES`].
pub const TABLE_ELEMENTS: usize = 100_000;
/// How often epochs advance while a driver call runs: a guest that computes holds a server thread for at most this long.
pub const TICK: Duration = Duration::from_millis(10);

/// Which engine a component is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// Synchronous, fuel, deterministic.
    Policy,
    /// Asynchronous host calls, epochs.
    Driver,
}

impl EngineKind {
    /// The engine of a world.
    #[must_use]
    pub const fn of(world: World) -> Self {
        match world {
            World::PlacementPolicy => Self::Policy,
            World::HypervisorDriver | World::StorageProvider => Self::Driver,
        }
    }

    /// The name on the compiling child's command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Driver => "driver",
        }
    }

    /// From the name on the command line.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Policy, Self::Driver]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }

    /// The engine. The server and its compiling child both build it here, so that their configurations are equal.
    ///
    /// # Errors
    /// When this machine cannot run the configuration.
    pub fn engine(self) -> wasmtime::Result<Engine> {
        Engine::new(&self.config())
    }

    /// The same with room for instances that is used again and again: code that was compiled for one runs on the other. For one
    /// component alone, so that what a fault of the engine would leave of a call is only seen by the same one's next call.
    ///
    /// # Errors
    /// When there are not as many addresses.
    pub fn pooled(self, pool: &Pool) -> wasmtime::Result<Engine> {
        let mut config = self.config();
        config.allocation_strategy(pool.strategy());
        Engine::new(&config)
    }

    fn config(self) -> Config {
        let mut config = Config::new();
        config
            .strategy(Strategy::Cranelift)
            .cranelift_opt_level(OptLevel::Speed)
            .max_wasm_stack(WASM_STACK_BYTES)
            .async_stack_size(ASYNC_STACK_BYTES)
            .concurrency_support(false)
            // Components are validated with `FEATURES` before they come here; what matters for behaviour is repeated.
            .wasm_relaxed_simd(false)
            .relaxed_simd_deterministic(true)
            .wasm_memory64(false)
            .generate_address_map(false);
        match self {
            Self::Policy => config.consume_fuel(true).cranelift_nan_canonicalization(true),
            // Data is copied into each fresh memory: sharing it takes an anonymous file, and a plugin's process has none.
            Self::Driver => config.epoch_interruption(true).memory_init_cow(false),
        };
        config
    }
}

/// What calls that run at the same time need.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Calls at the same time.
    pub calls: u32,
    /// Linear memory of one may grow to so many bytes.
    pub memory_bytes: u64,
    /// Linear memories of one.
    pub memories: u32,
    /// Tables of one.
    pub tables: u32,
}

/// Calls that were given up may still be on their way out when others begin.
pub const LEAVING: u32 = 4;
/// Bytes of a table that are cleared and stay with the process between two calls; a driver has some hundred functions in it.
const TABLE_RESIDENT_BYTES: usize = 16 * 1024;
/// What a core instance, and all of a component, may take beside memories and tables: 32 bytes a function that can be pointed to, of
/// which interpreters have some 20,000. It is a bound, not a reservation.
const CORE_INSTANCE_BYTES: usize = 16 << 20;
/// See [`CORE_INSTANCE_BYTES`].
const COMPONENT_BYTES: usize = 64 << 20;

impl Pool {
    fn strategy(&self) -> InstanceAllocationStrategy {
        let calls = self.calls.saturating_add(LEAVING);
        let memory_bytes = usize::try_from(self.memory_bytes).unwrap_or(usize::MAX);
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(calls)
            .total_stacks(calls)
            .total_core_instances(calls.saturating_mul(INSTANCES))
            .max_core_instances_per_component(INSTANCES)
            .total_memories(calls.saturating_mul(self.memories.max(1)))
            .max_memories_per_component(MEMORIES)
            .max_memories_per_module(MEMORIES)
            .max_memory_size(memory_bytes.min(MEMORY_MOST))
            .total_tables(calls.saturating_mul(self.tables.max(1)))
            .max_tables_per_component(TABLES)
            .max_tables_per_module(TABLES)
            .table_elements(TABLE_ELEMENTS)
            .table_keep_resident(TABLE_RESIDENT_BYTES)
            .max_core_instance_size(CORE_INSTANCE_BYTES)
            .max_component_instance_size(COMPONENT_BYTES);
        InstanceAllocationStrategy::Pooling(pool)
    }
}

/// What a component may be written in: WebAssembly 2.0 with SIMD, without threads, 64-bit memories, garbage collection,
/// exceptions or anything young.
#[must_use]
pub fn features() -> WasmFeatures {
    WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::SIMD
        | WasmFeatures::FLOATS
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::COMPONENT_MODEL
}

/// Feeds what is hashed into SHA-256, so that the result does not depend on the standard library's hasher.
struct Sha(Sha256);

impl Hasher for Sha {
    fn finish(&self) -> u64 {
        0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// Names everything that compiled code depends on beside the component: engine version, configuration, target and CPU
/// features. Hexadecimal.
#[must_use]
pub fn compatibility(engine: &Engine) -> String {
    let mut sha = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sha);
    let mut text = String::with_capacity(64);
    for byte in sha.0.finalize() {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Advances an engine's epoch every [`TICK`] while calls are in flight, from a thread of its own: guests that compute may
/// hold every thread of the async runtime. Sleeps when nothing runs.
#[derive(Debug)]
pub struct Ticker {
    shared: Arc<TickerState>,
    thread: thread::Thread,
}

#[derive(Debug, Default)]
struct TickerState {
    in_flight: AtomicUsize,
    ended: AtomicBool,
}

impl Ticker {
    /// Starts the thread for `engine`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(engine: Engine) -> std::io::Result<Self> {
        Self::for_one_to_come(move || Some(engine))
    }

    /// Starts the thread for an engine that `wait` waits for on it; none ends it.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn for_one_to_come(wait: impl FnOnce() -> Option<Engine> + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(TickerState::default());
        let state = Arc::clone(&shared);
        // A thread that begins asks for what a confined process may not: whoever has this answer can confine itself.
        let (begun, has_begun) = std::sync::mpsc::sync_channel(1);
        let handle = thread::Builder::new()
            .name("epochs".to_owned())
            .stack_size(64 * 1024)
            .spawn(move || {
                // Whoever started it waits for this.
                let _ = begun.send(());
                let Some(engine) = wait() else { return };
                while !state.ended.load(Ordering::Acquire) {
                    if state.in_flight.load(Ordering::Acquire) == 0 {
                        thread::park();
                        continue;
                    }
                    thread::sleep(TICK);
                    engine.increment_epoch();
                }
            })?;
        let thread = handle.thread().clone();
        has_begun
            .recv()
            .map_err(|_| std::io::Error::other("the thread of epochs ended"))?;
        Ok(Self { shared, thread })
    }

    /// Epochs advance until the answer is dropped.
    pub fn running(&self) -> Running {
        if self.shared.in_flight.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.unpark();
        }
        Running(Arc::clone(&self.shared))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// A call in flight.
#[derive(Debug)]
pub struct Running(Arc<TickerState>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_one_engine_runs_on_the_same_with_a_pool() {
        let pool = Pool {
            calls: 128,
            memory_bytes: 64 << 20,
            memories: 1,
            tables: 1,
        };
        let pooled = EngineKind::Driver.pooled(&pool).unwrap();
        let plain = EngineKind::Driver.engine().unwrap();
        assert_eq!(compatibility(&pooled), compatibility(&plain));
    }

    #[test]
    fn the_two_engines_differ_in_what_compiled_code_depends_on_and_each_agrees_with_itself() {
        let policy = compatibility(&EngineKind::Policy.engine().unwrap());
        let driver = compatibility(&EngineKind::Driver.engine().unwrap());
        assert_ne!(policy, driver);
        assert_eq!(policy, compatibility(&EngineKind::Policy.engine().unwrap()));
    }
}
