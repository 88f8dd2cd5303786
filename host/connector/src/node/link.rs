//! One connection to a node: a task that writes, a task that reads, and who waits for which answer. What is below (a
//! socket of this machine, TLS to another) does not matter to either.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    sync::{mpsc, oneshot},
    time::Instant,
};
use velum_model::fault::{Fault, code};

use super::place::Place;

use crate::{
    message::{
        Greeting, PROTOCOL, Reply, Request, ShardEpoch, Verb,
        frame::{self, Frame, FrameError},
    },
    tls,
};

/// Frames that may wait for the socket: enough to keep it busy, no more than a few MiB.
const OUTGOING: usize = 4;

/// How long the node may take to let effects of older epochs end when a connection begins.
const EPOCHS_MS: u32 = 10_000;

type Answer = (Result<Value, Fault>, Vec<u8>);

/// Why no answer came.
#[derive(Debug)]
pub(super) enum Lost {
    /// The request is too long or not JSON.
    Unsendable(String),
    /// The connection broke before the request was handed over.
    BeforeSending,
    /// It broke while the answer was awaited.
    Waiting,
    /// The deadline passed.
    Deadline,
}

/// A connection; clones share it.
#[derive(Clone)]
pub(super) struct Link {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<Frame>,
}

struct Shared {
    greeting: Greeting,
    next: AtomicU64,
    /// None once the connection is lost: nobody waits on a dead one.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        tracing::debug!("connection to a node let go");
    }
}

/// Both ways of a connection.
pub(super) struct Halves {
    pub(super) reader: Box<dyn AsyncRead + Send + Sync + Unpin>,
    pub(super) writer: Box<dyn AsyncWrite + Send + Sync + Unpin>,
}

/// Connects and reads the greeting.
pub(super) async fn greeted(place: &Place) -> Result<(Halves, Greeting), Fault> {
    let gone = |why: String| Fault::unchanged(code::UNREACHABLE, why);
    let mut halves = place
        .connect()
        .await
        .map_err(|why| gone(format!("no velum-node answers at {place}: {why}")))?;
    // A node that refuses this server's certificate says so where its greeting would be.
    let greeting: Greeting = frame::read(&mut halves.reader)
        .await
        .map_err(|e| gone(format!("velum-node at {place} does not greet: {}", why(&e))))?
        .ok_or_else(|| gone(format!("velum-node at {place} closed the connection")))?
        .message()
        .map_err(|e| gone(format!("what greets at {place} is no velum-node: {e}")))?;
    if greeting.protocol != PROTOCOL {
        return Err(Fault::unchanged(
            code::UNSUPPORTED,
            format!(
                "velum-node {} at {place} speaks protocol {}, this server {PROTOCOL}: install the same version",
                greeting.hello.version, greeting.protocol
            ),
        ));
    }
    Ok((halves, greeting))
}

fn why(error: &FrameError) -> String {
    match error {
        FrameError::Io(error) => tls::words(error),
        other => other.to_string(),
    }
}

/// Sends one request on a fresh connection and reads its answer.
pub(super) async fn first_exchange(halves: &mut Halves, request: &Request) -> Result<Value, Fault> {
    let broken = |e: frame::FrameError| Fault::unchanged(code::UNREACHABLE, format!("velum-node: {e}"));
    let frame = Frame::of(request).map_err(broken)?;
    frame::write(&mut halves.writer, &frame).await.map_err(broken)?;
    let reply: Reply = frame::read(&mut halves.reader)
        .await
        .map_err(broken)?
        .ok_or_else(|| Fault::unchanged(code::UNREACHABLE, "velum-node closed the connection"))?
        .message()
        .map_err(broken)?;
    reply.result
}

impl Link {
    /// Connects, and tells the epochs before anything else can be sent.
    pub(super) async fn connect(place: &Place, epochs: &[ShardEpoch]) -> Result<Self, Fault> {
        let (mut halves, greeting) = greeted(place).await?;
        if !epochs.is_empty() {
            let request = Request {
                id: 0,
                deadline_ms: EPOCHS_MS,
                fence: None,
                effect: None,
                verb: Verb::Epochs(epochs.to_vec()),
            };
            first_exchange(&mut halves, &request).await?;
        }
        let Halves { reader, writer } = halves;
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        let shared = Arc::new(Shared {
            greeting,
            next: AtomicU64::new(1),
            waiting: Mutex::new(Some(HashMap::new())),
        });
        tokio::spawn(write_all(writer, queue, Arc::clone(&shared)));
        tokio::spawn(read_all(reader, Arc::clone(&shared)));
        Ok(Self { shared, outgoing })
    }

    pub(super) fn greeting(&self) -> &Greeting {
        &self.shared.greeting
    }

    pub(super) fn is_lost(&self) -> bool {
        self.shared.waiting.lock().is_none()
    }

    pub(super) fn next_id(&self) -> u64 {
        self.shared.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn call(
        &self,
        request: &Request,
        body: Vec<u8>,
        until: Instant,
    ) -> Result<Answer, Lost> {
        let frame = Frame::with_body(request, body).map_err(|e| Lost::Unsendable(e.to_string()))?;
        let (sender, receiver) = oneshot::channel();
        match self.shared.waiting.lock().as_mut() {
            Some(waiting) => waiting.insert(request.id, sender),
            None => return Err(Lost::BeforeSending),
        };
        let _forget = Forget {
            shared: &self.shared,
            id: request.id,
        };
        match tokio::time::timeout_at(until, self.outgoing.send(frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Lost::BeforeSending),
            // The socket is full because the node does not read: the request was not handed over.
            Err(_) => return Err(Lost::BeforeSending),
        }
        match tokio::time::timeout_at(until, receiver).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Lost::Waiting),
            Err(_) => Err(Lost::Deadline),
        }
    }
}

/// Takes a caller off the list of those who wait, also when its future is dropped.
struct Forget<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.shared.waiting.lock().as_mut() {
            waiting.remove(&self.id);
        }
    }
}

async fn write_all(
    mut writer: Box<dyn AsyncWrite + Send + Sync + Unpin>,
    mut queue: mpsc::Receiver<Frame>,
    shared: Arc<Shared>,
) {
    while let Some(frame) = queue.recv().await {
        if let Err(error) = frame::write(&mut writer, &frame).await {
            tracing::debug!(%error, "writing to a node failed");
            break;
        }
    }
    // Either nobody holds the link any more or the socket broke: in both cases nobody shall wait on it. The end of this
    // half tells the node, which then closes its own.
    *shared.waiting.lock() = None;
    let _ = writer.shutdown().await;
}

async fn read_all(mut reader: Box<dyn AsyncRead + Send + Sync + Unpin>, shared: Arc<Shared>) {
    loop {
        let frame = match frame::read(&mut reader).await {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(error) => {
                tracing::debug!(%error, "reading from a node failed");
                break;
            }
        };
        let reply: Reply = match frame.message() {
            Ok(reply) => reply,
            Err(error) => {
                tracing::warn!(%error, "a node answered something else than a reply");
                break;
            }
        };
        let waiter = shared
            .waiting
            .lock()
            .as_mut()
            .and_then(|waiting| waiting.remove(&reply.id));
        if let Some(waiter) = waiter {
            // Whoever gave up waiting in this very moment needs no answer.
            let _ = waiter.send((reply.result, frame.body));
        }
    }
    *shared.waiting.lock() = None;
}
