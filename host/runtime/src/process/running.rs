//! A plugin's process as the server sees it: calls in flight, their asks, its death.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::BufReader,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::Child,
    sync::{Notify, mpsc, oneshot},
    task::AbortHandle,
};

use super::message::{FROM_CHILD, FromChild, QUEUE, TO_CHILD, ToChild, read, write};
use crate::{
    errand::Errand,
    grant::log::clean,
    sandbox::{
        ask::{Ask, Desk as _},
        work::{Ended, Work},
    },
};

/// How long an abandoned call may go on in the process: it lets go of the thread every 10 ms, so that one which is still
/// there after this time is no longer what was loaded.
const ABANDONED: Duration = Duration::from_secs(2);
/// Characters of what the process says of itself.
const WORDS: usize = 300;

/// A call in flight.
struct Slot {
    errand: Arc<Errand>,
    /// Taken when nobody waits any more.
    waiting: Option<oneshot::Sender<Ended>>,
    /// The answer to its ask that is being made: a guest waits for each, so that there is never a second one.
    asking: Option<AbortHandle>,
}

/// See the module.
pub struct Running {
    name: String,
    /// None once the process is dead.
    calls: Mutex<Option<HashMap<u64, Slot>>>,
    loaded: Mutex<Option<oneshot::Sender<Result<(), String>>>>,
    /// To the one who writes: a caller that goes away must not leave half of a message behind.
    outbox: mpsc::Sender<ToChild>,
    next: AtomicU64,
    /// Why it is to be killed, or how it died.
    obituary: OnceLock<String>,
    killing: Arc<Notify>,
    runtime: tokio::runtime::Handle,
}

impl Running {
    /// Takes over a process that was started with the other end of `socket`.
    pub fn begin(name: String, child: Child, socket: UnixStream) -> Arc<Self> {
        let (from, to) = socket.into_split();
        let killing = Arc::new(Notify::new());
        let (outbox, messages) = mpsc::channel(QUEUE);
        let running = Arc::new(Self {
            name,
            calls: Mutex::new(Some(HashMap::new())),
            loaded: Mutex::new(None),
            outbox,
            next: AtomicU64::new(1),
            obituary: OnceLock::new(),
            killing: Arc::clone(&killing),
            runtime: tokio::runtime::Handle::current(),
        });
        // Weak: when the plugin is removed, the last one lets go of the socket, and the process ends by itself.
        tokio::spawn(speak(Arc::downgrade(&running), messages, to));
        tokio::spawn(attend(
            Arc::downgrade(&running),
            killing,
            child,
            BufReader::new(from),
        ));
        running
    }

    /// Whether calls can be made.
    pub fn is_alive(&self) -> bool {
        self.calls.lock().is_some()
    }

    /// Gives it its component.
    pub async fn load(&self, load: ToChild) -> Result<(), Ended> {
        let (told, loaded) = oneshot::channel();
        *self.loaded.lock() = Some(told);
        self.send(load).await;
        match loaded.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => {
                self.kill("it could not load its component");
                Err(Ended::Unable(clean(&why, WORDS)))
            }
            Err(_) => Err(Ended::Lost(self.how_it_died())),
        }
    }

    /// Makes a call. When the future is dropped, the call is ended in the process too.
    pub async fn call(self: &Arc<Self>, work: Work, errand: Arc<Errand>) -> Ended {
        let call = self.next.fetch_add(1, Ordering::Relaxed);
        let (told, waiting) = oneshot::channel();
        let slot = Slot {
            errand,
            waiting: Some(told),
            asking: None,
        };
        match self.calls.lock().as_mut() {
            Some(calls) => calls.insert(call, slot),
            None => return Ended::Lost(self.how_it_died()),
        };
        let mut in_flight = InFlight {
            running: Arc::clone(self),
            call,
            is_sent: false,
        };
        self.send(ToChild::Call { call, work }).await;
        in_flight.is_sent = true;
        match waiting.await {
            Ok(end) => end,
            Err(_) => Ended::Lost(self.how_it_died()),
        }
    }

    /// Dropped before it is done, it has sent nothing. A process that is dead takes nothing, and its death is told elsewhere.
    async fn send(&self, message: ToChild) {
        let _ = self.outbox.send(message).await;
    }

    /// Ends the process; `why` is what the calls in flight are told.
    pub fn kill(&self, why: &str) {
        // The first reason is the one that counts.
        let _ = self.obituary.set(why.to_owned());
        self.killing.notify_one();
    }

    fn how_it_died(&self) -> String {
        self.obituary
            .get()
            .cloned()
            .unwrap_or_else(|| "it ended".to_owned())
    }

    /// A message came.
    ///
    /// # Errors
    /// What the process must not say; it is killed for it.
    fn heard(self: &Arc<Self>, message: FromChild) -> Result<(), String> {
        match message {
            FromChild::Loaded(loaded) => {
                let told = self.loaded.lock().take().ok_or("it loaded twice")?;
                // Whoever waited may have gone.
                let _ = told.send(loaded);
                Ok(())
            }
            FromChild::Ask { call, ask } => self.asked(call, ask),
            FromChild::Ended { call, end } => {
                let mut calls = self.calls.lock();
                let slot = calls.as_mut().and_then(|calls| calls.remove(&call));
                let slot = slot.ok_or("it ended a call that it does not have")?;
                if let Some(asking) = slot.asking {
                    asking.abort();
                }
                let end = match end {
                    Ended::Lost(_) | Ended::Unable(_) => return Err("it spoke for the server".to_owned()),
                    Ended::Trapped(why) => Ended::Trapped(clean(&why, WORDS)),
                    other => other,
                };
                if let Some(waiting) = slot.waiting {
                    let _ = waiting.send(end);
                }
                Ok(())
            }
        }
    }

    fn asked(self: &Arc<Self>, call: u64, ask: Ask) -> Result<(), String> {
        let mut calls = self.calls.lock();
        let slot = calls.as_mut().and_then(|calls| calls.get_mut(&call));
        let slot = slot.ok_or("it asked for a call that it does not have")?;
        if slot.asking.is_some() {
            return Err("it asked twice at once for one call".to_owned());
        }
        let (running, errand) = (Arc::clone(self), Arc::clone(&slot.errand));
        let answering = self.runtime.spawn(async move {
            let reply = errand.ask(ask).await;
            running.answered(call);
            running.send(ToChild::Reply { call, reply }).await;
        });
        slot.asking = Some(answering.abort_handle());
        Ok(())
    }

    /// Before the answer leaves: the guest may ask again as soon as it has it.
    fn answered(&self, call: u64) {
        if let Some(slot) = self.calls.lock().as_mut().and_then(|calls| calls.get_mut(&call)) {
            slot.asking = None;
        }
    }

    /// Nobody waits for a call any more: if it did not end, the process is told, and killed if that does not help. One that
    /// was never sent is only forgotten.
    fn abandon(self: &Arc<Self>, call: u64, is_sent: bool) {
        let mut calls = self.calls.lock();
        let Some(calls) = calls.as_mut() else { return };
        if !is_sent {
            calls.remove(&call);
            return;
        }
        let Some(slot) = calls.get_mut(&call) else { return };
        slot.waiting = None;
        let running = Arc::clone(self);
        self.runtime.spawn(async move {
            let told = async {
                running.send(ToChild::Abort { call }).await;
                tokio::time::sleep(ABANDONED).await;
            };
            // A process that does not read does not take this message either.
            let _ = tokio::time::timeout(ABANDONED * 2, told).await;
            let is_there = matches!(running.calls.lock().as_ref(), Some(calls) if calls.contains_key(&call));
            if is_there {
                running.kill("it went on with a call that had been ended");
            }
        });
    }
}

/// Ends the call when whoever made it goes away.
struct InFlight {
    running: Arc<Running>,
    call: u64,
    is_sent: bool,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.running.abandon(self.call, self.is_sent);
    }
}

/// Writes what is to be said, a message after the other, until nobody can say anything any more.
async fn speak(running: Weak<Running>, mut messages: mpsc::Receiver<ToChild>, mut to: OwnedWriteHalf) {
    while let Some(message) = messages.recv().await {
        if let Err(error) = write(&mut to, &message, TO_CHILD).await {
            if let Some(running) = running.upgrade() {
                running.kill(&format!("it could not be written to: {error}"));
            }
            return;
        }
    }
}

/// Listens to the process until it ends, and buries it.
async fn attend(
    running: Weak<Running>,
    killing: Arc<Notify>,
    mut child: Child,
    mut from: BufReader<OwnedReadHalf>,
) {
    let wrong = tokio::select! {
        wrong = listen(&running, &mut from) => wrong,
        () = killing.notified() => None,
    };
    // Nothing that it could still do counts.
    let _ = child.start_kill();
    let status = match child.wait().await {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let Some(running) = running.upgrade() else {
        return;
    };
    let _ = running.obituary.set(wrong.unwrap_or(status));
    let calls = running.calls.lock().take();
    running.loaded.lock().take();
    let in_flight = calls.as_ref().map_or(0, HashMap::len);
    tracing::warn!(
        plugin = running.name,
        in_flight,
        "a plugin's process ended: {}; the next call starts another",
        running.how_it_died()
    );
    for slot in calls.into_iter().flat_map(HashMap::into_values) {
        if let Some(asking) = slot.asking {
            asking.abort();
        }
    }
}

/// Answers what was wrong, if it was not just its end.
async fn listen(running: &Weak<Running>, from: &mut BufReader<OwnedReadHalf>) -> Option<String> {
    loop {
        let message = read::<FromChild>(from, FROM_CHILD).await;
        let heard = match message {
            Ok(None) => return None,
            Ok(Some(message)) => running.upgrade()?.heard(message),
            // It died with a message on its lips; how, its parent knows.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                ) =>
            {
                return None;
            }
            Err(error) => Err(format!("it wrote nonsense: {error}")),
        };
        if let Err(why) = heard {
            return Some(why);
        }
    }
}
