//! Threads and connections, a few for each URI.

use std::{
    collections::HashMap,
    sync::{Arc, mpsc},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use velum_model::fault::{Fault, code};
use virt::connect::Connect;

use super::fault::faulted;

/// Threads of one URI: libvirtd serves a connection's calls one after another, and a start takes a second.
const THREADS: usize = 4;

/// Calls that may wait for a thread of one URI; more are answered with `BUSY`.
const QUEUE: usize = 64;

/// URIs in use at a time: a machine has one, tests have a few.
const URIS: usize = 8;

type Work = Box<dyn FnOnce(Result<&Connect, Fault>) -> bool + Send>;

/// Every connection to libvirt of this process.
pub struct Libvirt {
    allowed: Vec<String>,
    queues: Mutex<HashMap<String, mpsc::SyncSender<Work>>>,
}

impl Libvirt {
    /// Connects to none yet; `allowed` are the URIs that may be asked for.
    #[must_use]
    pub fn new(allowed: Vec<String>) -> Self {
        // The default handler writes each error to the terminal as well.
        virt::error::clear_error_callback();
        Self {
            allowed,
            queues: Mutex::default(),
        }
    }

    /// The URI for what no request names one for.
    #[must_use]
    pub fn first_uri(&self) -> Option<&str> {
        self.allowed.first().map(String::as_str)
    }

    /// Does something with a connection to `uri`, on a thread where it may block.
    ///
    /// # Errors
    /// `DENIED` for a URI that is not allowed, `BUSY` when too much waits, `UNREACHABLE` when libvirt does not answer;
    /// what `work` answers.
    pub async fn with<T: Send + 'static>(
        &self,
        uri: &str,
        work: impl FnOnce(&Connect) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let queue = self.queue(uri)?;
        let (sender, receiver) = oneshot::channel();
        let boxed: Work = Box::new(move |connect| {
            let result = connect.and_then(work);
            let keep = !matches!(&result, Err(fault) if fault.code == code::UNREACHABLE);
            // Whoever asked may have stopped waiting.
            let _ = sender.send(result);
            keep
        });
        queue.try_send(boxed).map_err(|_| {
            Fault::unchanged(
                code::BUSY,
                format!("{QUEUE} calls wait for libvirt at {uri} already"),
            )
        })?;
        receiver
            .await
            .map_err(|_| Fault::new(code::FAILED, "a libvirt thread ended in the middle of a call"))?
    }

    fn queue(&self, uri: &str) -> Result<mpsc::SyncSender<Work>, Fault> {
        if !self.allowed.iter().any(|allowed| allowed == uri) {
            return Err(Fault::unchanged(
                code::DENIED,
                format!(
                    "this node may not use libvirt at {uri:?}; it was started with --libvirt-uri-allow {}",
                    self.allowed.join(",")
                ),
            ));
        }
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get(uri) {
            return Ok(queue.clone());
        }
        if queues.len() >= URIS {
            return Err(Fault::unchanged(
                code::BUSY,
                format!("{URIS} libvirt URIs are in use already"),
            ));
        }
        let (queue, waiting) = mpsc::sync_channel(QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..THREADS {
            let uri = uri.to_owned();
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new()
                .name(format!("libvirt-{number}"))
                .spawn(move || serve(&uri, &waiting))
                .map_err(|e| Fault::unchanged(code::FAILED, format!("no thread for libvirt: {e}")))?;
        }
        queues.insert(uri.to_owned(), queue.clone());
        Ok(queue)
    }
}

/// One thread: keeps a connection, makes a new one when it died.
fn serve(uri: &str, waiting: &Mutex<mpsc::Receiver<Work>>) {
    let mut connection: Option<Connect> = None;
    loop {
        // Waiting inside the lock is fine: the other threads wait for the same.
        let next = waiting.lock().recv();
        let Ok(work) = next else { break };
        // Without an event loop a connection only notices that libvirtd died when it is used: so it is used for
        // something that changes nothing, and the call itself begins on one that works.
        if connection.as_ref().is_some_and(|c| c.get_lib_version().is_err()) {
            close(connection.take());
        }
        if connection.is_none() {
            match Connect::open(Some(uri)) {
                Ok(opened) => connection = Some(opened),
                Err(error) => {
                    let why = faulted(&format!("connecting to libvirt at {uri}"), &error);
                    work(Err(Fault::unchanged(code::UNREACHABLE, why.detail)));
                    continue;
                }
            }
        }
        if let Some(connect) = connection.as_ref()
            && !work(Ok(connect))
        {
            close(connection.take());
        }
    }
    close(connection);
}

fn close(connection: Option<Connect>) {
    if let Some(mut connection) = connection
        && let Err(error) = connection.close()
    {
        tracing::debug!(%error, "closing a libvirt connection failed");
    }
}
