//! Threads of their own for what goes on beside the requests: operations, the observer of compute hosts, the
//! recount of the books.
//!
//! They stand back when the processor is short: a flood of accepted requests is carried out a little later, but who asks is
//! answered now, and a long queue of operations does not make the API slow. What they commit goes through the same writer
//! as everything else, so they are never far behind.

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};

/// Niceness of these threads: while both want the processor, requests get three parts of four.
const NICENESS: i32 = 5;

/// Starts them, as many as the machine has cores.
pub fn start() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .thread_name("velumd-work")
        .on_thread_start(stand_back)
        .build()
        .context("could not start the threads that carry operations out")
}

/// Lowers the priority of the calling thread, and on Linux of it alone.
fn stand_back() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "operations run with the priority of requests");
    }
}
