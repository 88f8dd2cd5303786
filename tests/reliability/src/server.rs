//! A server in memory: the real store, use cases and engine, on a database file and a far side that outlive it.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use async_trait::async_trait;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::JoinHandle,
    time::Instant,
};
use uuid::Uuid;
use velum_model::{ShardId, Timestamp, chance::Ids, id::OperationId, time::Clock};
use velum_operation::{Checkpoint, Engine, EngineLimits, EngineParts, Replacement, Replan, ReplanAsk};
use velum_service::{Parts, Services, Watch};
use velum_store::{
    Commit, CommittedBatch, DatabaseAsk, DatabaseFate, DatabaseFaults, Observer, Simulated, SimulatedFile,
    Store, StoreOptions, block_on,
};

use crate::{
    far::{FarSide, Ports},
    life::Life,
    wire::{Director, Moment, When},
};

/// Simulated time. Whoever is in the simulation reads its runtime's clock, which stands while anything outside of it (the
/// store's writer, a planner) works and reads the last instant that was read inside.
#[derive(Debug)]
pub struct Time {
    began: Instant,
    offset: AtomicI64,
    latest: AtomicI64,
}

impl Time {
    /// Time that begins at `from`.
    #[must_use]
    pub fn from(from: Timestamp) -> Self {
        Self {
            began: Instant::now(),
            offset: AtomicI64::new(from.micros()),
            latest: AtomicI64::new(from.micros()),
        }
    }

    /// The clock that the next server reads goes this much ahead of, or behind, what it was.
    pub fn jump(&self, micros: i64) {
        self.offset.fetch_add(micros, Ordering::SeqCst);
        self.latest.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        if is_inside() {
            let elapsed = i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX);
            let now = self.offset.load(Ordering::SeqCst).saturating_add(elapsed);
            self.latest.store(now, Ordering::SeqCst);
        }
        Timestamp::from_micros(self.latest.load(Ordering::SeqCst))
    }
}

/// Identifiers and chance that are the same each time.
#[derive(Debug)]
pub struct Counting {
    next: AtomicU64,
    space: u128,
}

impl Counting {
    /// The identifiers of one name space.
    #[must_use]
    pub fn new(space: u16) -> Self {
        Self {
            next: AtomicU64::new(1),
            space: u128::from(space) << 48,
        }
    }
}

impl Ids for Counting {
    fn uuid(&self) -> Uuid {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | self.space | u128::from(number))
    }
    fn seed(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }
    fn secret(&self) -> [u8; 32] {
        [7; 32]
    }
}

/// Told of every commit: planners, then the engine.
struct Follow {
    watch: Arc<Watch>,
    engine: OnceLock<Engine>,
}

impl Observer for Follow {
    fn committed(&self, batch: &CommittedBatch) {
        self.watch.committed(batch);
        if let Some(engine) = self.engine.get() {
            batch.commits.iter().for_each(|commit| engine.offer(commit));
        }
    }
}

/// Stops an engine at its commits, where the director wants it.
struct Stops {
    life: Arc<Life>,
    director: Arc<dyn Director>,
}

impl Stops {
    async fn at(&self, commit: &Commit, when: When) {
        self.life.lives().await;
        if let Some((operation, moment)) = Moment::of(commit) {
            let fate = self
                .director
                .at_commit(self.life.number(), when, operation.id, &moment);
            self.life.meet(fate).await;
        }
    }
}

#[async_trait]
impl Checkpoint for Stops {
    async fn before(&self, commit: &Commit) {
        self.at(commit, When::Before).await;
    }
    async fn after(&self, commit: &Commit, is_durable: bool) {
        if is_durable {
            self.at(commit, When::After).await;
        } else {
            self.life.lives().await;
        }
    }
}

/// What goes wrong with the database of one life, once the server runs: one that cannot start is started again, which is
/// a crash.
struct Disk {
    life: u32,
    director: Arc<dyn Director>,
    is_open: AtomicBool,
}

impl DatabaseFaults for Disk {
    fn next(&self, ask: DatabaseAsk) -> DatabaseFate {
        // What planners read beside the simulation comes in no order.
        let is_ordered = ask != DatabaseAsk::Read || is_inside();
        if !is_ordered || !self.is_open.load(Ordering::SeqCst) {
            return DatabaseFate::Answers;
        }
        self.director.at_database(self.life, ask)
    }
}

/// Whether this is the thread of a simulation.
#[must_use]
pub fn is_inside() -> bool {
    Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::CurrentThread)
}

/// The real planner, asked so that no time passes.
struct Elsewhere(Services);

#[async_trait]
impl Replan for Elsewhere {
    async fn elsewhere(&self, ask: ReplanAsk) -> Option<Replacement> {
        block_on(self.0.elsewhere(ask))
    }
    fn give_back(&self, replacement: &Replacement) {
        Replan::give_back(&self.0, replacement);
    }
}

/// What a server starts with.
#[derive(Clone)]
pub struct Start<'s> {
    /// Its database.
    pub database: &'s SimulatedFile,
    /// What it talks to.
    pub far: &'s FarSide,
    /// Which life this is.
    pub life: u32,
    /// What goes wrong.
    pub director: Arc<dyn Director>,
    /// The time.
    pub time: Arc<Time>,
    /// The runtime that the store's tasks are on.
    pub outside: &'s Handle,
    /// Other compute hosts that a failed attempt goes to.
    pub elsewhere: usize,
}

impl Start<'_> {
    /// Opens the store; its disk fails from when that is said on.
    fn open(&self, ids: &Arc<dyn Ids>, follow: &Arc<Follow>) -> anyhow::Result<(Store, Arc<Disk>)> {
        let options = StoreOptions {
            url: self.database.url(),
            holder: format!("server-{}", self.life),
            clock: self.time.clone(),
            ids: ids.clone(),
            observer: follow.clone(),
            lease_ms: 3_600_000,
        };
        let disk = Arc::new(Disk {
            life: self.life,
            director: self.director.clone(),
            is_open: AtomicBool::new(false),
        });
        let simulated = Simulated {
            file: self.database.clone(),
            faults: disk.clone(),
        };
        let _outside = self.outside.enter();
        let store = block_on(Store::open_for_simulation(options, simulated))?;
        Ok((store, disk))
    }
}

/// A server that runs.
pub struct Server {
    /// Its store.
    pub store: Store,
    /// Its use cases.
    pub services: Services,
    /// Its engine.
    pub engine: Engine,
    /// Whether it lives.
    pub life: Arc<Life>,
    runner: JoinHandle<()>,
}

impl Server {
    /// Starts one as `velumd` does: opens the store, takes the shards over, tells the far side, loads and resumes.
    ///
    /// # Errors
    /// The store or the use cases do not start.
    pub async fn start(start: Start<'_>) -> anyhow::Result<Self> {
        let life = Arc::new(Life::new(start.life));
        let ids: Arc<dyn Ids> = Arc::new(Counting::new(start.life as u16));
        let watch = Watch::new();
        let follow = Arc::new(Follow {
            watch: watch.clone(),
            engine: OnceLock::new(),
        });
        let (store, disk) = start.open(&ids, &follow)?;
        for (shard, epoch) in store.take_over(false).await? {
            announce(start.far, shard, epoch);
        }
        let ports = Arc::new(Ports::new(
            start.far.clone(),
            life.clone(),
            start.director.clone(),
        ));
        let services = block_on(Services::start(Parts {
            store: store.clone(),
            plugins: ports.clone(),
            nodes: ports.clone(),
            clock: start.time.clone(),
            ids: ids.clone(),
            watch,
            settings: velum_service::Settings::default(),
            histories: velum_store::Histories::nowhere(),
        }))?;
        let parts = EngineParts {
            store: store.clone(),
            plugins: ports.clone(),
            nodes: ports,
            replan: Arc::new(Elsewhere(services.clone())),
            clock: start.time.clone(),
            ids,
            limits: EngineLimits {
                elsewhere: start.elsewhere,
                ..EngineLimits::default()
            },
        };
        let stops = Arc::new(Stops {
            life: life.clone(),
            director: start.director.clone(),
        });
        let engine = Engine::watched(parts, stops);
        let _ = follow.engine.set(engine.clone());
        engine.load().await?;
        disk.is_open.store(true, Ordering::SeqCst);
        let runner = tokio::spawn({
            let engine = engine.clone();
            async move { engine.run().await }
        });
        Ok(Self {
            store,
            services,
            engine,
            life,
            runner,
        })
    }

    /// `kill -9`: nothing of it moves any more, and its connections are closed.
    pub fn end(&self) {
        self.life.kill();
        self.engine.stop();
        self.runner.abort();
        self.services.stop();
        block_on(self.store.close());
    }

    /// Whether an operation is still at work or waits.
    pub fn is_idle(&self) -> bool {
        self.engine.unfinished() == 0
    }
}

fn announce(far: &FarSide, shard: ShardId, epoch: u64) {
    far.at_once(|state| state.announce(shard.uuid(), epoch));
}

/// An operation by its id, for messages.
#[must_use]
pub fn short(id: OperationId) -> String {
    let text = id.to_string();
    text.get(text.len().saturating_sub(6)..)
        .unwrap_or(&text)
        .to_owned()
}
