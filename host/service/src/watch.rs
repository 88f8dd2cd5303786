//! What of this crate follows the commits: planners, the catalog and event subscribers.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use tokio::sync::broadcast;
use velum_model::{id::ZoneId, operation::Event};
use velum_store::{CommittedBatch, Observer};

use crate::{
    catalog::Catalog,
    planner::{Inbox, Note, digest},
};

/// Events that a slow subscriber may be behind before it must read the log again. A burst of one full group commit
/// (256 accepts of two events) fits twice.
const EVENTS_KEPT: usize = 1024;

/// The store's observer, or a part of it. Made before the store is opened; planners join it later.
pub struct Watch {
    inboxes: RwLock<HashMap<ZoneId, Arc<Inbox>>>,
    events: broadcast::Sender<Arc<Event>>,
    catalog: Catalog,
}

impl Watch {
    /// One that nobody listens to yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            inboxes: RwLock::default(),
            events: broadcast::channel(EVENTS_KEPT).0,
            catalog: Catalog::default(),
        })
    }

    /// Events from now on. A receiver that lags reads the log from its cursor and goes on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// Rows as they are until a commit changes them.
    pub(crate) const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(crate) fn join(&self, zone: ZoneId, inbox: Arc<Inbox>) {
        self.inboxes.write().insert(zone, inbox);
    }

    /// A planner hears nothing more and ends; one that has taken its place stays.
    pub(crate) fn leave(&self, zone: ZoneId, inbox: &Arc<Inbox>) {
        let mut inboxes = self.inboxes.write();
        if inboxes.get(&zone).is_some_and(|known| Arc::ptr_eq(known, inbox)) {
            inboxes.remove(&zone);
        }
        drop(inboxes);
        inbox.stop();
    }

    /// Tells all planners of what another server committed.
    pub(crate) fn tell(&self, note: Note) {
        let news = Arc::new(vec![note]);
        for inbox in self.inboxes.read().values() {
            inbox.tell(Arc::clone(&news));
        }
    }

    /// Tells the listeners of what another server committed.
    pub(crate) fn heard(&self, event: Event) {
        // Nobody listening is no error.
        let _ = self.events.send(Arc::new(event));
    }
}

impl Observer for Watch {
    fn committed(&self, batch: &CommittedBatch) {
        self.catalog.follow(batch);
        let news = Arc::new(digest(batch));
        if !news.is_empty() {
            for inbox in self.inboxes.read().values() {
                inbox.tell(Arc::clone(&news));
            }
        }
        for event in &batch.events {
            // Nobody listening is no error.
            let _ = self.events.send(Arc::new(event.clone()));
        }
    }
}
