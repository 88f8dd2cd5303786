//! What every handler is given.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use velum_model::chance::Ids;
use velum_service::Services;

use crate::forward::Peers;

/// What every handler is given. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    /// The use cases.
    pub services: Services,
    /// Names requests that come without a name.
    pub ids: Arc<dyn Ids>,
    /// Renders the metrics; none where nothing records them.
    pub metrics: Option<PrometheusHandle>,
    /// Cancelled when the server stops: streams and long polls end then.
    pub stop: CancellationToken,
    /// The way to the other servers; none where there are no others.
    pub peers: Option<Peers>,
    /// What may be under way at once.
    pub bounds: Arc<Bounds>,
}

/// What may be under way at once (law 12). Beyond, requests are answered 429 or 503 with `Retry-After`.
#[derive(Debug)]
pub struct Bounds {
    /// Requests whose answer has not begun. Accepts are committed some thousand a second, so this many wait for less
    /// than a second; each costs some tens of KiB.
    pub in_flight: Semaphore,
    /// Event streams and consoles; each holds a task and a connection.
    pub streams: Arc<Semaphore>,
    /// Pieces of uploads and components while they are read, and large batches until they are answered: 8 of at most 32 MiB stay within
    /// the server's budget.
    pub large_bodies: Semaphore,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            in_flight: Semaphore::new(1024),
            streams: Arc::new(Semaphore::new(256)),
            large_bodies: Semaphore::new(8),
        }
    }
}
