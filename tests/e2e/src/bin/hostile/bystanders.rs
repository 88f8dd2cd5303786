//! Requests of others, made at a steady pace whatever the server answers: what a hostile component must not be felt by.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use velum_client::{Client, Filter};
use velum_support::World;

/// Between two requests of one bystander.
const PACE: Duration = Duration::from_millis(50);

/// What bystanders saw since they were asked last.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How long answers took, sorted.
    pub took: Vec<Duration>,
    /// Requests that failed, in words.
    pub failed: Vec<String>,
}

impl Seen {
    /// Adds what was seen later.
    pub fn add(&mut self, mut later: Self) {
        self.took.append(&mut later.took);
        self.took.sort_unstable();
        self.failed.append(&mut later.failed);
    }

    /// The time within which 99 of 100 answers came.
    #[must_use]
    pub fn p99(&self) -> Duration {
        let last = self.took.len().saturating_sub(1);
        let index = (self.took.len() * 99 / 100).min(last);
        self.took.get(index).copied().unwrap_or_default()
    }
}

/// See the module.
pub struct Bystanders {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Bystanders {
    /// Two that read, and one that places instances in a zone of its own.
    #[must_use]
    pub fn begin(client: &Client, world: &Arc<World>) -> Self {
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), Arc::new(AtomicBool::new(false)));
        let mut tasks = Vec::new();
        for reader in 0..3_u32 {
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            let (client, world) = (client.clone(), Arc::clone(world));
            tasks.push(tokio::spawn(async move {
                let mut pace = tokio::time::interval(PACE);
                pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
                for number in 0_u64.. {
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                    pace.tick().await;
                    let began = Instant::now();
                    // One placement in five requests: the zone has room for them all.
                    let answer = if reader == 0 && number % 5 == 0 {
                        let body = world.instance(&format!("bystander-{number}"));
                        client.instances().create(&body).await.map(drop)
                    } else {
                        client.zones().all(&Filter::new()).await.map(drop)
                    };
                    let mut seen = seen.lock();
                    match answer {
                        Ok(()) => seen.took.push(began.elapsed()),
                        Err(error) => seen.failed.push(error.to_string()),
                    }
                }
            }));
        }
        Self { seen, stop, tasks }
    }

    /// What they saw since this was asked last.
    pub fn seen(&self) -> Seen {
        let mut seen = std::mem::take(&mut *self.seen.lock());
        seen.took.sort_unstable();
        seen
    }

    /// Ends them.
    pub async fn end(self) {
        self.stop.store(true, Ordering::Release);
        for task in self.tasks {
            // One that panicked has said so.
            let _ = task.await;
        }
    }
}
