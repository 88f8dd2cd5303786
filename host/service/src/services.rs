//! What every use case works with.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use parking_lot::RwLock;
use tokio::sync::broadcast;
use velum_model::{
    Id, Timestamp,
    chance::{self, Ids},
    id::{RunId, ZoneId},
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
use velum_store::{Reader, Store, ZoneFilter};

use crate::{
    error::ServiceError,
    planner::{Planner, PlannerParts},
    watch::Watch,
};

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
}

/// The use cases. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    planners: RwLock<HashMap<ZoneId, Arc<Planner>>>,
    /// Starts planners one at a time, so that a zone has one.
    starting: tokio::sync::Mutex<()>,
    /// The highest number of a MAC that was given. A number whose commit is refused is not given again; there are
    /// four thousand million.
    mac_numbers: AtomicU32,
}

impl Services {
    /// Starts a planner for every zone. Shards are owned already ([`Store::take_over`]).
    ///
    /// # Errors
    /// The database failed, or no thread could be started.
    pub async fn start(parts: Parts) -> Result<Self, ServiceError> {
        let services = Self {
            inner: Arc::new(Inner {
                parts,
                planners: RwLock::default(),
                starting: tokio::sync::Mutex::new(()),
                mac_numbers: AtomicU32::new(0),
            }),
        };
        services.reload().await?;
        Ok(services)
    }

    /// Reads again what is kept in memory: after shards were taken over from another server.
    ///
    /// # Errors
    /// The database failed, or no thread could be started.
    pub async fn reload(&self) -> Result<(), ServiceError> {
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
                self.planner(zone.id).await?.load(&reader).await.map_err(failed)?;
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
        let known = self.read().token_by_hash(hash).await;
        let known = known.map_err(|error| ServiceError::from_store("look up the token", error))?;
        Ok(known.map(|(token, name, scope)| Caller { token, name, scope }))
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

    /// Stops the planners' threads.
    pub fn stop(&self) {
        for (zone, _) in self.inner.planners.write().drain() {
            self.inner.parts.watch.leave(zone);
        }
    }

    /// The planner of a zone, started if it is the first time. Loaded before it is answered, and again if it lost
    /// track.
    pub(crate) async fn planner(&self, zone: ZoneId) -> Result<Arc<Planner>, ServiceError> {
        let known = self.inner.planners.read().get(&zone).map(Arc::clone);
        if let Some(planner) = known {
            if planner.is_in_doubt() {
                self.load(&planner).await?;
            }
            return Ok(planner);
        }
        let _one = self.inner.starting.lock().await;
        let known = self.inner.planners.read().get(&zone).map(Arc::clone);
        if let Some(planner) = known {
            return Ok(planner);
        }
        let parts = PlannerParts {
            plugins: Arc::clone(&self.inner.parts.plugins),
            clock: Arc::clone(&self.inner.parts.clock),
            ids: Arc::clone(&self.inner.parts.ids),
        };
        let planner = Planner::start(zone, parts).map_err(|error| ServiceError::Unavailable {
            problem: format!("could not start the planner of zone {zone}: {error}"),
            retry_after_s: crate::error::LEASE_S,
        })?;
        let planner = Arc::new(planner);
        self.inner.parts.watch.join(zone, planner.inbox());
        self.load(&planner).await?;
        self.inner.planners.write().insert(zone, Arc::clone(&planner));
        Ok(planner)
    }

    pub(crate) async fn load(&self, planner: &Planner) -> Result<(), ServiceError> {
        let loaded = planner.load(&self.read()).await;
        loaded.map_err(|error| ServiceError::from_store("read the zone's inventory", error))
    }

    /// Takes back the tentative claims of a run. Nothing happens if they were committed.
    pub(crate) fn give_back_run(&self, zone: ZoneId, run: RunId) {
        if let Some(planner) = self.inner.planners.read().get(&zone) {
            planner.give_back(run.uuid());
        }
    }

    /// Ends the planner of a zone that is gone.
    pub(crate) fn forget_zone(&self, zone: ZoneId) {
        self.inner.planners.write().remove(&zone);
        self.inner.parts.watch.leave(zone);
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    pub(crate) fn read(&self) -> Reader {
        self.inner.parts.store.read()
    }

    pub(crate) fn plugins(&self) -> &Arc<dyn Plugins> {
        &self.inner.parts.plugins
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

    /// A MAC that no NIC has.
    pub(crate) fn next_mac(&self) -> Mac {
        Mac::numbered(self.inner.mac_numbers.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
