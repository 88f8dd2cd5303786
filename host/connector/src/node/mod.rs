//! The server's end of the messages to one `velum-node`.

mod console;
mod files;
mod libvirt;
mod link;
mod orders;
pub(crate) mod place;

use std::{path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::{sync::Semaphore, time::Instant};
use velum_model::{
    fault::{Fault, code},
    port::{Call, Effect, Fence, node::NodeHello},
};

pub use self::{files::FilesGrant, libvirt::LibvirtGrant};
use self::{
    files::bad_answer,
    link::{Link, Lost},
    place::Place,
};
use crate::message::{Request, ShardEpoch, Verb};

/// How long a question (a call that changes nothing) may take: libvirt answers each in milliseconds, unless it is
/// stuck, and then a plugin's call should end before its own deadline.
pub const QUESTION: Duration = Duration::from_secs(10);

/// How much longer than the deadline that it sent the client waits: the node's own answer to a missed deadline says more.
const GRACE: Duration = Duration::from_millis(500);

/// Calls in flight to one node: it works on a handful at a time, the rest would only wait there instead of here.
const IN_FLIGHT: usize = 64;

/// The right and the identity under which an effect is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Warrant<'a> {
    /// Under which right.
    pub fence: &'a Fence,
    /// As which effect; its deadline bounds the call.
    pub effect: &'a Effect,
}

impl<'a> From<&'a Call> for Warrant<'a> {
    fn from(call: &'a Call) -> Self {
        Self {
            fence: &call.fence,
            effect: &call.effect,
        }
    }
}

/// A `velum-node`, found by its address. Connects when first needed and again after a loss; cheap to clone, all clones
/// share one connection.
#[derive(Clone)]
pub struct NodeClient {
    inner: Arc<Inner>,
}

struct Inner {
    place: Place,
    link: tokio::sync::Mutex<Option<Link>>,
    permits: Semaphore,
    epochs: Arc<Mutex<Vec<ShardEpoch>>>,
}

impl std::fmt::Debug for NodeClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeClient")
            .field("place", &self.inner.place)
            .finish_non_exhaustive()
    }
}

impl NodeClient {
    /// The node behind a Unix socket. Does not connect yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self::announcing(Place::Socket(socket.into()), Arc::default())
    }

    /// The same, telling these epochs on each connection before anything else.
    pub(crate) fn announcing(place: Place, epochs: Arc<Mutex<Vec<ShardEpoch>>>) -> Self {
        Self {
            inner: Arc::new(Inner {
                place,
                link: tokio::sync::Mutex::new(None),
                permits: Semaphore::new(IN_FLIGHT),
                epochs,
            }),
        }
    }

    /// libvirt on that machine, by connection URI (`qemu:///system`).
    #[must_use]
    pub fn libvirt(&self, uri: impl Into<String>) -> LibvirtGrant {
        LibvirtGrant::new(self.clone(), uri.into())
    }

    /// Image files in one directory of that machine.
    #[must_use]
    pub fn files(&self, directory: impl Into<String>) -> FilesGrant {
        FilesGrant::new(self.clone(), directory.into())
    }

    /// Tells the node the epochs under which this server owns its shards, if a connection stands; a later connection
    /// begins with them anyway.
    ///
    /// # Errors
    /// `FENCED` when a newer owner was there; what the node said otherwise, and then the connection is given up so
    /// that the next one tells them again.
    pub async fn announce(&self) -> Result<(), Fault> {
        if self.inner.link.lock().await.as_ref().is_none_or(Link::is_lost) {
            return Ok(());
        }
        let epochs = self.inner.epochs.lock().clone();
        let told = self.ask::<()>(Verb::Epochs(epochs), QUESTION).await;
        if told.is_err() {
            *self.inner.link.lock().await = None;
        }
        told
    }

    /// Who the node is, by its greeting; connects if need be and finds out whether it still answers, and obeys.
    ///
    /// # Errors
    /// `FENCED` when a newer owner was there; the node is away.
    pub(crate) async fn greeting(&self) -> Result<NodeHello, Fault> {
        let epochs = self.inner.epochs.lock().clone();
        self.ask::<()>(Verb::Epochs(epochs), QUESTION).await?;
        let link = self.connected(Instant::now() + QUESTION).await?;
        Ok(link.greeting().hello.clone())
    }

    /// A question: nothing changes by it.
    pub(crate) async fn ask<A: DeserializeOwned>(&self, verb: Verb, within: Duration) -> Result<A, Fault> {
        let (answer, _) = self.exchange(verb, None, within, Vec::new()).await?;
        Ok(answer)
    }

    /// An effect: passes the node's gate under `warrant`.
    pub(crate) async fn act<A: DeserializeOwned>(
        &self,
        verb: Verb,
        warrant: Warrant<'_>,
    ) -> Result<A, Fault> {
        let within = Duration::from_millis(u64::from(warrant.effect.deadline_ms));
        let (answer, _) = self.exchange(verb, Some(warrant), within, Vec::new()).await?;
        Ok(answer)
    }

    /// One request and its answer with what bytes belong to each.
    pub(crate) async fn exchange<A: DeserializeOwned>(
        &self,
        verb: Verb,
        warrant: Option<Warrant<'_>>,
        within: Duration,
        body: Vec<u8>,
    ) -> Result<(A, Vec<u8>), Fault> {
        let until = Instant::now() + within;
        let may_change = verb.may_change();
        let Ok(Ok(_permit)) = tokio::time::timeout_at(until, self.inner.permits.acquire()).await else {
            return Err(Fault::unchanged(
                code::BUSY,
                format!("{IN_FLIGHT} calls to the node are in flight already"),
            ));
        };
        let link = self.connected(until).await?;
        let request = Request {
            id: link.next_id(),
            deadline_ms: u32::try_from(until.saturating_duration_since(Instant::now()).as_millis())
                .unwrap_or(u32::MAX),
            fence: warrant.map(|w| *w.fence),
            effect: warrant.map(|w| w.effect.clone()),
            verb,
        };
        match link.call(&request, body, until + GRACE).await {
            Ok((result, body)) => {
                let answer = serde_json::from_value(result?).map_err(bad_answer)?;
                Ok((answer, body))
            }
            Err(lost) => Err(self.lost(lost, may_change)),
        }
    }

    fn lost(&self, lost: Lost, may_change: bool) -> Fault {
        let place = &self.inner.place;
        let (code, sent, what) = match lost {
            Lost::Unsendable(why) => return Fault::unchanged(code::INVALID, why),
            Lost::BeforeSending => (code::UNREACHABLE, false, "is gone"),
            Lost::Waiting => (code::UNREACHABLE, true, "went away before it answered"),
            Lost::Deadline => (code::DEADLINE, true, "did not answer in time"),
        };
        Fault {
            code,
            unchanged: !(sent && may_change),
            retry_after_ms: None,
            detail: format!("velum-node at {place} {what}"),
        }
    }

    /// The standing connection, or a new one.
    async fn connected(&self, until: Instant) -> Result<Link, Fault> {
        let mut slot = tokio::time::timeout_at(until, self.inner.link.lock())
            .await
            .map_err(|_| self.unreachable("is still being connected to"))?;
        if let Some(link) = slot.as_ref().filter(|link| !link.is_lost()) {
            return Ok(link.clone());
        }
        let epochs = self.inner.epochs.lock().clone();
        let link = tokio::time::timeout_at(until, Link::connect(&self.inner.place, &epochs))
            .await
            .map_err(|_| self.unreachable("does not greet"))??;
        *slot = Some(link.clone());
        Ok(link)
    }

    fn unreachable(&self, what: &str) -> Fault {
        let place = &self.inner.place;
        Fault::unchanged(code::UNREACHABLE, format!("velum-node at {place} {what}"))
    }
}
