//! Clients that ask again as soon as they are answered.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// What they saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How long each request took, ascending.
    pub took: Vec<Duration>,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

impl Seen {
    /// Milliseconds within which this share of the requests was answered.
    #[must_use]
    pub fn at(&self, share: f64) -> f64 {
        let index = (self.took.len() as f64 * share) as usize;
        let at = self.took.get(index.min(self.took.len().saturating_sub(1)));
        at.map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    }

    /// Requests a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.took.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Makes `requests` requests, numbered from 0, by `clients` at a time.
///
/// # Errors
/// One fails.
pub async fn ask<C, F, Asked>(clients: &[C], requests: u64, request: F) -> anyhow::Result<Seen>
where
    C: Clone + Send + 'static,
    F: Fn(C, u64) -> Asked + Send + Sync + Clone + 'static,
    Asked: Future<Output = anyhow::Result<()>> + Send,
{
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut asking = Vec::new();
    for client in clients {
        let (client, next, request) = (client.clone(), Arc::clone(&next), request.clone());
        asking.push(tokio::spawn(async move {
            let mut took = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return anyhow::Ok(took);
                }
                let began = Instant::now();
                request(client.clone(), number).await?;
                took.push(began.elapsed());
            }
        }));
    }
    let mut seen = Seen::default();
    for asked in asking {
        seen.took.extend(asked.await??);
    }
    seen.elapsed = began.elapsed();
    seen.took.sort_unstable();
    Ok(seen)
}

/// The middle one.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
