//! A relay between servers and a node: it lets every message pass, and can hold one effect back as a slow network would.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    net::{UnixListener, UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf},
    sync::oneshot,
};
use velum_connector::message::{
    Reply, Request, Verb,
    frame::{self, Frame},
};
use velum_model::fault::Fault;

/// A relay on a socket of its own; it ends with the test.
#[derive(Clone)]
pub struct Relay {
    trap: Arc<Mutex<Option<Trap>>>,
}

/// What catches an effect.
struct Trap {
    wanted: fn(&Verb) -> bool,
    caught: oneshot::Sender<Request>,
    released: oneshot::Receiver<()>,
    answered: oneshot::Sender<Reply>,
}

/// An effect to be held back.
pub struct Held {
    caught: Option<oneshot::Receiver<Request>>,
    release: oneshot::Sender<()>,
    answered: oneshot::Receiver<Reply>,
}

/// The answer that is waited for: the number of its request, and who waits.
type Awaited = Arc<Mutex<Option<(u64, oneshot::Sender<Reply>)>>>;

impl Relay {
    /// Relays from `socket` to the node's.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(socket: &Path, node: &Path) -> anyhow::Result<Self> {
        let listener = UnixListener::bind(socket).context("the relay cannot listen")?;
        let relay = Self { trap: Arc::default() };
        let (own, node) = (relay.clone(), node.to_owned());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A node that is away answers nobody: the connection closes.
                if let Ok(far) = UnixStream::connect(&node).await {
                    own.carry(stream, far);
                }
            }
        });
        Ok(relay)
    }

    /// Will hold the first effect that is `wanted`, and with it all that its sender sends after it.
    #[must_use]
    pub fn hold(&self, wanted: fn(&Verb) -> bool) -> Held {
        let (caught, has_caught) = oneshot::channel();
        let (release, released) = oneshot::channel();
        let (answered, has_answered) = oneshot::channel();
        *self.trap.lock() = Some(Trap {
            wanted,
            caught,
            released,
            answered,
        });
        Held {
            caught: Some(has_caught),
            release,
            answered: has_answered,
        }
    }

    fn carry(&self, near: UnixStream, far: UnixStream) {
        let (near_reader, near_writer) = near.into_split();
        let (far_reader, far_writer) = far.into_split();
        let awaited = Awaited::default();
        let relay = self.clone();
        let waits = Arc::clone(&awaited);
        tokio::spawn(async move { relay.towards_node(near_reader, far_writer, waits).await });
        tokio::spawn(towards_server(far_reader, near_writer, awaited));
    }

    async fn towards_node(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, awaited: Awaited) {
        while let Ok(Some(frame)) = frame::read(&mut from).await {
            if let Some((trap, request)) = self.caught(&frame) {
                *awaited.lock() = Some((request.id, trap.answered));
                // Nobody who set a trap lets go of it before the test ends.
                let _ = trap.caught.send(request);
                let _ = trap.released.await;
            }
            if frame::write(&mut to, &frame).await.is_err() {
                return;
            }
        }
    }

    fn caught(&self, frame: &Frame) -> Option<(Trap, Request)> {
        let mut trap = self.trap.lock();
        let wanted = trap.as_ref()?.wanted;
        let request: Request = frame.message().ok()?;
        if request.verb.is_effect() && wanted(&request.verb) {
            trap.take().map(|trap| (trap, request))
        } else {
            None
        }
    }
}

async fn towards_server(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, awaited: Awaited) {
    while let Ok(Some(frame)) = frame::read(&mut from).await {
        if let Ok(reply) = frame.message::<Reply>() {
            let waiter = {
                let mut awaited = awaited.lock();
                let is_it = awaited.as_ref().is_some_and(|(id, _)| *id == reply.id);
                if is_it { awaited.take() } else { None }
            };
            if let Some((_, waiter)) = waiter {
                let _ = waiter.send(reply);
            }
        }
        if frame::write(&mut to, &frame).await.is_err() {
            return;
        }
    }
}

impl Held {
    /// The effect, once it was sent; it does not pass before [`Held::release`].
    ///
    /// # Errors
    /// When none came within `patience`.
    pub async fn caught(&mut self, patience: Duration) -> anyhow::Result<Request> {
        let caught = self.caught.take().context("it was caught before")?;
        let request = tokio::time::timeout(patience, caught).await;
        request
            .context("the effect never came")?
            .context("the relay is gone")
    }

    /// Lets it pass; answers what the node said to it.
    ///
    /// # Errors
    /// When the node says nothing within `patience`.
    pub async fn release(self, patience: Duration) -> anyhow::Result<Result<Value, Fault>> {
        let Self {
            release, answered, ..
        } = self;
        release
            .send(())
            .map_err(|()| anyhow::anyhow!("nothing is held"))?;
        let reply = tokio::time::timeout(patience, answered).await;
        Ok(reply
            .context("the node does not answer the held effect")?
            .context("the node's connection closed")?
            .result)
    }
}
