//! Requests, and what the answers promise.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use uuid::Uuid;
use velum_client::Client;
use velum_support::{Chance, World};

/// What an answer said: it must still be so after any cut that comes later.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// When it was asked for, microseconds since the Unix epoch.
    pub asked: i64,
    /// When the answer was there.
    pub at: i64,
    /// Its operation.
    pub operation: Uuid,
    /// The instance that it is about.
    pub instance: Uuid,
    /// What.
    pub said: Said,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The creation of an instance was accepted.
    Creating,
    /// Something else was accepted.
    Accepted,
    /// The operation was seen done.
    Done,
}

/// The clock that strace stamps its lines with.
#[expect(
    clippy::disallowed_methods,
    reason = "the recorder takes the system's time; an answer must be told to be before or after what it recorded"
)]
pub fn wall() -> anyhow::Result<i64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(i64::try_from(now.as_micros())?)
}

/// Requests that go on until they are told to stop or the server is gone.
pub struct Load {
    told: Arc<Mutex<Vec<Promise>>>,
    is_over: Arc<AtomicBool>,
    lanes: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Load {
    pub fn begin(client: &Client, world: &World, name: &str, lanes: u64, seed: u64) -> Self {
        let (told, is_over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let lanes = (0..lanes)
            .map(|lane| {
                let lane = Lane {
                    client: client.clone(),
                    world: world.clone(),
                    name: format!("{name}-{lane}"),
                    chance: Chance(seed.wrapping_mul(1000) + lane),
                    told: Arc::clone(&told),
                    is_over: Arc::clone(&is_over),
                };
                tokio::spawn(lane.run())
            })
            .collect();
        Self { told, is_over, lanes }
    }

    /// Waits for so many answers.
    pub async fn wait(&self, answers: usize, within: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.told.lock().len() < answers {
            let is_alive = self.lanes.iter().any(|lane| !lane.is_finished());
            anyhow::ensure!(
                is_alive && began.elapsed() < within,
                "{} answers of {answers} after {:?}",
                self.told.lock().len(),
                began.elapsed()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// From now on a request may fail: the server is about to go.
    pub fn may_fail(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// What was promised.
    pub async fn end(self) -> anyhow::Result<Vec<Promise>> {
        self.may_fail();
        for lane in self.lanes {
            lane.await??;
        }
        Ok(std::mem::take(&mut *self.told.lock()))
    }
}

/// One who asks for one thing after another.
struct Lane {
    client: Client,
    world: World,
    name: String,
    chance: Chance,
    told: Arc<Mutex<Vec<Promise>>>,
    is_over: Arc<AtomicBool>,
}

impl Lane {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut n = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            n += 1;
            if let Err(error) = self.life(n).await {
                // Whoever is asked may be gone by now.
                return match self.is_over.load(Ordering::SeqCst) {
                    true => Ok(()),
                    false => Err(error),
                };
            }
        }
        Ok(())
    }

    /// The life of one instance; one in four stays.
    async fn life(&mut self, n: u32) -> anyhow::Result<()> {
        let client = self.client.clone();
        let mut body = self.world.instance(&format!("{}-{n}", self.name));
        // Some rows are longer than a page.
        body.user_data = Some("#cloud-config\n".repeat(1 + self.chance.below(600) as usize));
        let asked = wall()?;
        let made = client.instances().create(&body).await?;
        let id = made.value.id;
        self.follow(asked, id, made.operation, Said::Creating).await?;
        if self.chance.below(2) == 0 {
            let asked = wall()?;
            let stopped = client.instances().stop(id).await?;
            self.follow(asked, id, stopped.operation, Said::Accepted).await?;
        }
        if self.chance.below(4) > 0 {
            let asked = wall()?;
            let operation = client.instances().delete(id).await?;
            self.follow(asked, id, operation, Said::Accepted).await?;
        }
        Ok(())
    }

    /// Notes what was accepted, and waits for its end.
    async fn follow(
        &self,
        asked: i64,
        instance: Uuid,
        operation: Option<Uuid>,
        said: Said,
    ) -> anyhow::Result<()> {
        let promise = Promise {
            asked,
            at: wall()?,
            operation: operation.context("it was accepted without an operation")?,
            instance,
            said,
        };
        self.told.lock().push(promise);
        let outcome = self.client.wait(promise.operation).await?;
        anyhow::ensure!(outcome.is_done(), "it did not end well: {:#?}", outcome.view());
        self.told.lock().push(Promise {
            at: wall()?,
            said: Said::Done,
            ..promise
        });
        Ok(())
    }
}
