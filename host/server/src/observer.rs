//! Who is told of every commit: the service's watch (planners, event subscribers) and the operation engine. The engine
//! needs the store to exist before it does, so the store is opened with this and the engine joins afterwards.

use std::sync::{Arc, OnceLock};

use velum_operation::Engine;
use velum_service::Watch;
use velum_store::{CommittedBatch, Observer};

/// Passes commits on; to the engine once it is there. Before that nothing is accepted.
pub struct Listeners {
    watch: Arc<Watch>,
    engine: OnceLock<Engine>,
}

impl Listeners {
    /// Without an engine yet.
    pub fn new(watch: Arc<Watch>) -> Arc<Self> {
        Arc::new(Self {
            watch,
            engine: OnceLock::new(),
        })
    }

    /// Lets the engine follow. The first one stays.
    pub fn follow(&self, engine: Engine) {
        let _ = self.engine.set(engine);
    }
}

impl Observer for Listeners {
    fn committed(&self, batch: &CommittedBatch) {
        self.watch.committed(batch);
        if let Some(engine) = self.engine.get() {
            batch.commits.iter().for_each(|commit| engine.offer(commit));
        }
    }
}
