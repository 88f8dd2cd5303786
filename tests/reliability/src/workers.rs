//! Workers: one for each processor, which play one thing after another.
//!
//! What is simulated and the threads of its database hand each other one call at a time, so that never two of them are at
//! work. Each worker keeps all of its own on one processor: a hand-over is a switch there, and not a wake-up of another
//! processor that sleeps, which takes ten times as long.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::runtime::{Builder, Handle, Runtime};
use velum_store::{SimulatedFile, block_on};

use crate::ground::new_file;

/// What a worker has for one run after another.
pub struct Worker {
    outside: Runtime,
    /// The database.
    pub file: SimulatedFile,
    _directory: tempfile::TempDir,
}

impl Worker {
    /// On this thread's processors.
    ///
    /// # Errors
    /// There is no room for a file, or no thread.
    pub fn new() -> anyhow::Result<Self> {
        let (directory, file) = new_file()?;
        Ok(Self {
            outside: outside()?,
            file,
            _directory: directory,
        })
    }

    /// The runtime for what is outside of a simulation.
    #[must_use]
    pub fn outside(&self) -> &Handle {
        self.outside.handle()
    }
}

/// The runtime for what is outside of a simulation: a store's writer, planners. One thread, for there is never more to do.
///
/// # Errors
/// There is no thread for it.
pub fn outside() -> anyhow::Result<Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.context("a runtime beside the simulation")
}

/// Plays the numbers below `count`, each once.
///
/// # Errors
/// A worker cannot begin.
pub fn each(count: u64, play: impl Fn(u64, &Worker) + Sync) -> anyhow::Result<()> {
    let allowed = sched_getaffinity(None).context("which processors there are")?;
    let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|at| allowed.is_set(*at)).collect();
    let next = AtomicU64::new(0);
    let work = |processor: usize| {
        let mut own = CpuSet::new();
        own.set(processor);
        sched_setaffinity(None, &own).context("a processor of its own")?;
        // Its threads stay where this one is.
        let worker = Worker::new()?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                block_on(worker.file.close())?;
                return anyhow::Ok(());
            }
            play(number, &worker);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = processors
            .iter()
            .map(|processor| scope.spawn(|| work(*processor)))
            .collect();
        let mut ends = workers.into_iter().map(|worker| worker.join());
        ends.try_for_each(|end| end.unwrap_or_else(|_| anyhow::bail!("a worker panicked")))
    })
}
