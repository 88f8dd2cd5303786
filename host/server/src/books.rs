//! The books: every sum is recounted from its claims, after the start and now and then (law 2). A difference is an alarm.
//!
//! It reads every claim there is, which takes longer than a start may. So it goes on beside the requests: what it would find
//! was wrong before the start too, and no request is answered out of it.

use std::time::{Duration, Instant};

use velum_store::Store;

/// Until a recount that failed is tried again: the database comes back within that, or somebody is looking.
const AGAIN: Duration = Duration::from_secs(60);

/// Recounts at once, then every `every_ms` milliseconds. `store` has readers of its own.
pub async fn recount(store: Store, every_ms: u64) {
    loop {
        let began = Instant::now();
        match store.audit().await {
            Ok(found) => {
                for wrong in &found {
                    tracing::error!(table = wrong.table, row = %wrong.id, problem = %wrong.problem, "the books are wrong");
                }
                metrics::gauge!("velum_books_wrong").set(found.len() as f64);
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(wrong = found.len(), took_ms, "the books were recounted");
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the books could not be recounted; trying again in a minute"
                );
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        }
        tokio::time::sleep(Duration::from_millis(every_ms)).await;
    }
}
