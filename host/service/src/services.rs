//! What every use case works with.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, SemaphorePermit, broadcast, mpsc};
use uuid::Uuid;
use velum_model::{
    Id, Timestamp,
    chance::{self, Ids},
    id::{DecisionId, RunId, ShardId, ZoneId},
    net::Mac,
    operation::Event,
    page::Page,
    port::{
        node::Nodes,
        plugins::{PluginStats, Plugins},
    },
    tenancy::Caller,
    time::Clock,
};
use velum_store::{Histories, Reader, Store, ZoneFilter};

use crate::{
    catalog::Catalog,
    compute_hosts::PrivateAddresses,
    decisions::{Looks, PASTS, Refusals},
    desk::Desk,
    error::ServiceError,
    history::{Keeping, Line},
    planner::{MISFITS, Misfit, Planner, PlannerParts},
    settings::Settings,
    watch::Watch,
};

/// How often counts of shadows are kept: what a crash loses of them is worth less than a commit a second.
const KEEP_COUNTS: Duration = Duration::from_secs(5);

/// Epochs that may have been given after the last one that was written down, by a server whose clock was ahead: more than there
/// are in an hour.
const UNWRITTEN: u64 = 1 << 32;

/// What the use cases are made of.
#[derive(Clone)]
pub struct Parts {
    /// Rows.
    pub store: Store,
    /// Installed plugins.
    pub plugins: Arc<dyn Plugins>,
    /// Nodes and image stores.
    pub nodes: Arc<dyn Nodes>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub ids: Arc<dyn Ids>,
    /// Hears the commits of `store`.
    pub watch: Arc<Watch>,
    /// What the operator decided.
    pub settings: Settings,
    /// Where it is kept what zones were.
    pub histories: Histories,
}

/// The use cases. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    planners: RwLock<HashMap<ZoneId, Planned>>,
    /// The shards of zones that were asked for: a zone never changes its own, and nobody has more than some hundred.
    zone_shards: RwLock<HashMap<Uuid, ShardId>>,
    /// Starts planners one at a time, so that a zone has one.
    starting: tokio::sync::Mutex<()>,
    /// The highest number of a MAC that was given. A number whose commit is refused is not given again; there are
    /// four thousand million.
    mac_numbers: AtomicU32,
    private_addresses: PrivateAddresses,
    /// Where shadows are asked.
    desk: Arc<Desk>,
    /// New versions of policies that do not do: told by the planners, taken back by [`Services::watch_policies`].
    misfits: (mpsc::Sender<Misfit>, tokio::sync::Mutex<mpsc::Receiver<Misfit>>),
    /// What planners tell of their zones.
    keeping: Arc<Keeping>,
    /// How many refusals were kept lately.
    refusals: Refusals,
    /// Decisions that were looked at lately.
    looks: Looks,
    /// Who works on an inventory of the past.
    pasts: Semaphore,
    /// Evaluations of policies are made one at a time: each takes a processor.
    evaluating: Semaphore,
    /// Up to where old decisions were forgotten.
    forgotten: Mutex<Option<DecisionId>>,
}

/// The planner of a zone, good for as long as its shard is owned under the epoch under which it was loaded.
#[derive(Clone)]
struct Planned {
    planner: Arc<Planner>,
    shard: ShardId,
    epoch: u64,
}

impl Services {
    /// Starts a planner for every zone whose shard is owned. What is owned later is told to [`Services::own`].
    ///
    /// # Errors
    /// The database failed, or no thread could be started.
    pub async fn start(parts: Parts) -> Result<Self, ServiceError> {
        let (plugins, clock) = (Arc::clone(&parts.plugins), Arc::clone(&parts.clock));
        let desk = Desk::new(plugins, clock, parts.ids.uuid());
        let (tell, told) = mpsc::channel(MISFITS);
        let keeping = Arc::new(Keeping::new(parts.histories.clone()));
        let services = Self {
            inner: Arc::new(Inner {
                desk,
                misfits: (tell, tokio::sync::Mutex::new(told)),
                parts,
                planners: RwLock::default(),
                zone_shards: RwLock::default(),
                starting: tokio::sync::Mutex::new(()),
                mac_numbers: AtomicU32::new(0),
                private_addresses: PrivateAddresses::default(),
                keeping,
                refusals: Refusals::default(),
                looks: Looks::default(),
                pasts: Semaphore::new(PASTS),
                evaluating: Semaphore::new(1),
                forgotten: Mutex::default(),
            }),
        };
        services.reload().await?;
        Ok(services)
    }

    /// Follows the shards that this server owns now: ends the planners of others and starts those of new ones, so that
    /// the first request finds one.
    ///
    /// # Errors
    /// The database failed, or no thread could be started; requests then start what is missing.
    pub async fn own(&self, shards: &[(ShardId, u64)]) -> Result<(), ServiceError> {
        // What those that end now have told.
        self.keep_histories().await;
        self.inner.planners.write().retain(|zone, planned| {
            let is_owned = shards.contains(&(planned.shard, planned.epoch));
            if !is_owned {
                self.inner.keeping.forget(*zone);
                self.inner.parts.watch.leave(*zone, &planned.planner.inbox());
            }
            is_owned
        });
        if shards.is_empty() {
            return Ok(());
        }
        self.reload().await
    }

    /// Starts the planners of the zones that are owned and have none.
    async fn reload(&self) -> Result<(), ServiceError> {
        let failed = |error| ServiceError::from_store("read the zones", error);
        let reader = self.read();
        let highest = reader.mac_numbers_used().await.map_err(failed)?;
        self.inner.mac_numbers.fetch_max(highest, Ordering::Relaxed);
        let mut page = Page {
            limit: Page::MAX_LIMIT,
            after: None,
        };
        loop {
            let zones = reader.zones(&ZoneFilter::default(), page).await.map_err(failed)?;
            for zone in &zones.items {
                match self.planner(zone.id).await {
                    Ok(_) | Err(ServiceError::NotOwner) => {}
                    Err(error) => return Err(error),
                }
            }
            page.after = zones.next;
            if page.after.is_none() {
                return Ok(());
            }
        }
    }

    /// Whether requests can be served: the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ready(&self) -> Result<(), ServiceError> {
        let one = Page {
            limit: 1,
            after: None,
        };
        let answer = self.read().zones(&ZoneFilter::default(), one).await;
        answer
            .map(drop)
            .map_err(|error| ServiceError::from_store("read the zones", error))
    }

    /// Who shows a token with this hash.
    ///
    /// # Errors
    /// The database failed.
    pub async fn authenticate(&self, hash: &[u8]) -> Result<Option<Caller>, ServiceError> {
        let known = self.caller_row(hash).await;
        known.map_err(|error| ServiceError::from_store("look up the token", error))
    }

    /// Events from now on; whoever lags reads the log ([`Services::event_list`]) from its cursor and goes on.
    #[must_use]
    pub fn event_subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.inner.parts.watch.subscribe()
    }

    /// Counters of each loaded plugin.
    #[must_use]
    pub fn plugin_stats(&self) -> Vec<PluginStats> {
        self.plugins().stats()
    }

    /// Takes back new versions of policies that do not do, and keeps what shadows were counted; for ever, on one task.
    pub async fn watch_policies(&self) {
        let mut misfits = self.inner.misfits.1.lock().await;
        let mut ticks = tokio::time::interval(KEEP_COUNTS);
        loop {
            tokio::select! {
                Some(misfit) = misfits.recv() => {
                    if let Err(error) = self.take_back(&misfit).await {
                        tracing::error!(policy = %misfit.policy, why = misfit.words, %error,
                            "a policy's version does not do, and could not be taken back");
                    }
                }
                _ = ticks.tick() => {
                    if let Err(error) = self.keep_shadow_counts().await {
                        tracing::debug!(%error, "what shadows were counted is kept later");
                    }
                }
            }
        }
    }

    /// Stops the planners' threads.
    pub fn stop(&self) {
        for (zone, planned) in self.inner.planners.write().drain() {
            self.inner.parts.watch.leave(zone, &planned.planner.inbox());
        }
    }

    /// The planner of a zone, started if it is the first time under the present epoch of its shard. Loaded before it is
    /// answered, and again if it lost track.
    pub(crate) async fn planner(&self, zone: ZoneId) -> Result<Arc<Planner>, ServiceError> {
        if let Some(planner) = self.known_planner(zone) {
            if planner.is_in_doubt() {
                Box::pin(self.load(&planner)).await?;
            }
            return Ok(planner);
        }
        // Seldom, and large.
        Box::pin(self.new_planner(zone)).await
    }

    async fn new_planner(&self, zone: ZoneId) -> Result<Arc<Planner>, ServiceError> {
        let _one = self.inner.starting.lock().await;
        if let Some(planner) = self.known_planner(zone) {
            return Ok(planner);
        }
        let row = self.read().zone(zone).await;
        let row = row.map_err(|error| ServiceError::from_store("read the zone", error))?;
        let row = row.ok_or_else(|| ServiceError::not_found("zone", zone))?;
        // Read after it is owned: whatever an earlier owner still commits is refused from then on.
        let (shard, epoch) = self.fence(row.shard)?;
        let line = Arc::new(Line::new(self.inner.parts.histories.are_kept()));
        let parts = PlannerParts {
            line: Arc::clone(&line),
            plugins: Arc::clone(&self.inner.parts.plugins),
            clock: Arc::clone(&self.inner.parts.clock),
            ids: Arc::clone(&self.inner.parts.ids),
            desk: Arc::clone(&self.inner.desk),
            probation: self.inner.parts.settings.probation,
            misfits: self.inner.misfits.0.clone(),
        };
        let planner = Planner::start(zone, parts).map_err(|error| ServiceError::Unavailable {
            problem: format!("could not start the planner of zone {zone}: {error}"),
            retry_after_s: crate::error::LEASE_S,
        })?;
        let planner = Arc::new(planner);
        self.inner.parts.watch.join(zone, planner.inbox());
        self.inner.keeping.follow(zone, line, &planner.inbox());
        self.load(&planner).await?;
        let planned = Planned {
            planner: Arc::clone(&planner),
            shard,
            epoch,
        };
        // One of an earlier epoch has stopped hearing the commits when this one began to.
        self.inner.planners.write().insert(zone, planned);
        Ok(planner)
    }

    /// The planner of a zone, if it was loaded under the present epoch.
    fn known_planner(&self, zone: ZoneId) -> Option<Arc<Planner>> {
        let planners = self.inner.planners.read();
        let planned = planners.get(&zone)?;
        let is_owned = self.store().epoch(planned.shard) == Some(planned.epoch);
        is_owned.then(|| Arc::clone(&planned.planner))
    }

    pub(crate) async fn load(&self, planner: &Planner) -> Result<(), ServiceError> {
        let reach = self.inner.parts.histories.reach(planner.zone()).await;
        let reach = reach.unwrap_or_else(|error| {
            tracing::warn!(zone = %planner.zone(), error = &error as &dyn std::error::Error,
                "could not read how far the zone's history reaches: the clock alone numbers what comes");
            None
        });
        let now = u64::try_from(self.now().micros()).unwrap_or(0);
        let first_epoch = reach.map_or(now, |(_, last)| now.max(last + UNWRITTEN));
        let loaded = planner.load(&self.read(), first_epoch).await;
        loaded.map_err(|error| ServiceError::from_store("read the zone's inventory", error))
    }

    /// Takes back the tentative claims of a run. Nothing happens if they were committed.
    pub(crate) fn give_back_run(&self, zone: ZoneId, run: RunId) {
        if let Some(planned) = self.inner.planners.read().get(&zone) {
            planned.planner.give_back(run.uuid());
        }
    }

    /// Ends the planner of a zone that is gone.
    pub(crate) fn forget_zone(&self, zone: ZoneId) {
        self.inner.keeping.forget(zone);
        if let Some(planned) = self.inner.planners.write().remove(&zone) {
            self.inner.parts.watch.leave(zone, &planned.planner.inbox());
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    pub(crate) fn read(&self) -> Reader {
        self.inner.parts.store.read()
    }

    pub(crate) fn zone_shards(&self) -> &RwLock<HashMap<Uuid, ShardId>> {
        &self.inner.zone_shards
    }

    pub(crate) fn private_addresses(&self) -> &PrivateAddresses {
        &self.inner.private_addresses
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.inner.parts.watch
    }

    pub(crate) fn shared_watch(&self) -> Arc<Watch> {
        Arc::clone(&self.inner.parts.watch)
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        self.watch().catalog()
    }

    pub(crate) fn plugins(&self) -> &Arc<dyn Plugins> {
        &self.inner.parts.plugins
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.inner.desk
    }

    pub(crate) fn keeping(&self) -> &Arc<Keeping> {
        &self.inner.keeping
    }

    /// A place among those who work on an inventory of the past; waits for one.
    pub(crate) async fn past_place(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes it.
        self.inner.pasts.acquire().await.ok()
    }

    pub(crate) fn evaluating(&self) -> &Semaphore {
        &self.inner.evaluating
    }

    pub(crate) fn forgotten(&self) -> &Mutex<Option<DecisionId>> {
        &self.inner.forgotten
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.parts.clock
    }

    pub(crate) fn refusals(&self) -> &Refusals {
        &self.inner.refusals
    }

    pub(crate) fn looks(&self) -> &Looks {
        &self.inner.looks
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.parts.settings
    }

    pub(crate) fn nodes(&self) -> &dyn Nodes {
        self.inner.parts.nodes.as_ref()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.parts.clock.now()
    }

    pub(crate) fn fresh<Of>(&self) -> Id<Of> {
        chance::fresh(self.inner.parts.ids.as_ref())
    }

    /// Bytes that nobody can guess.
    pub(crate) fn secret(&self) -> [u8; 32] {
        self.inner.parts.ids.secret()
    }

    /// A MAC that no NIC has. Several servers would count the same numbers up: there it is drawn, and one that is taken
    /// (one of a million NICs meets another once in four thousand times) is refused, and the placement done again.
    pub(crate) fn next_mac(&self) -> Mac {
        if self.store().is_shared() {
            let [a, b, c, d, ..] = self.inner.parts.ids.secret();
            return Mac::numbered(u32::from_le_bytes([a, b, c, d]));
        }
        Mac::numbered(self.inner.mac_numbers.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
