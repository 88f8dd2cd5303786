//! A process for each driver and provider, in which its component runs: what escapes the sandbox finds no file, no network,
//! no database and no other plugin there, only the socket over which it asks the server, and the server answers within the
//! grant of the call that is in flight.
//!
//! A process per component is stricter than one per vendor: two versions of a driver, or a vendor's driver and provider, do
//! not share a fate. It costs a few MiB of memory each, and nothing while nothing is called: the process starts with the
//! first call, and again after it died.

mod child;
mod confine;
mod message;
mod running;
mod uids;

use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    process::{ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::{net::UnixStream, process::Command, sync::Mutex};
use velum_model::{plugin::World, port::plugins::PluginRefused};

pub use self::{
    confine::confine_compiler,
    uids::{Uids, UidsError},
};
use self::{
    message::{Load, ToChild},
    running::Running,
};
use crate::{
    errand::Errand,
    sandbox::work::{Bounds, Ended, Work},
};

/// The first argument of a plugin's process: `velumd --plugin-process [UID]`.
pub const ARGUMENT: &str = "--plugin-process";

/// How long a process may take from its start until its component is loaded: the largest known one takes 0.4 s on an idle
/// machine.
const START: Duration = Duration::from_secs(20);

/// What the process does, to be called by the server's `main` when its first argument is [`ARGUMENT`].
#[must_use]
pub fn process_main(arguments: &[OsString]) -> ExitCode {
    child::main(arguments)
}

/// The uid that a child is told to have: its last argument, where the server gives uids.
///
/// # Errors
/// It is no number.
pub fn told_uid(argument: Option<&OsString>) -> io::Result<Option<u32>> {
    let parse = |argument: &OsString| argument.to_str().and_then(|text| text.parse().ok());
    match argument {
        None => Ok(None),
        Some(argument) => parse(argument)
            .map(Some)
            .ok_or_else(|| io::Error::other(format!("{} is no uid", argument.to_string_lossy()))),
    }
}

/// Where compiled code comes from, each time that a process starts.
#[async_trait]
pub trait Code: Send + Sync {
    /// The code of the component.
    async fn code(&self) -> Result<Vec<u8>, PluginRefused>;
}

/// What a plugin's process is made of.
pub struct Recipe {
    /// The program with its arguments, [`ARGUMENT`] the last of them.
    pub command: Vec<OsString>,
    /// The uids that its processes have; none: the server's own.
    pub uids: Option<Arc<Uids>>,
    /// The plugin's name, for the log.
    pub name: String,
    /// Its world.
    pub world: World,
    /// The optional interfaces that it has.
    pub interfaces: Vec<String>,
    /// Bounds of its calls.
    pub bounds: Bounds,
    /// Its code.
    pub code: Arc<dyn Code>,
}

/// The process of one component; see the module.
pub struct Process {
    recipe: Recipe,
    running: Mutex<Option<Arc<Running>>>,
    starts: Arc<AtomicU64>,
}

impl Process {
    /// Not started yet. `starts` counts its starts.
    #[must_use]
    pub fn new(recipe: Recipe, starts: Arc<AtomicU64>) -> Self {
        Self {
            recipe,
            running: Mutex::new(None),
            starts,
        }
    }

    /// Makes one call, in a process that is started if there is none.
    pub async fn run(&self, work: Work, errand: &Arc<Errand>) -> Ended {
        match self.running().await {
            Ok(running) => running.call(work, Arc::clone(errand)).await,
            Err(ended) => ended,
        }
    }

    async fn running(&self) -> Result<Arc<Running>, Ended> {
        let mut running = self.running.lock().await;
        if let Some(running) = running.as_ref().filter(|running| running.is_alive()) {
            return Ok(Arc::clone(running));
        }
        let started = self.start().await?;
        *running = Some(Arc::clone(&started));
        Ok(started)
    }

    async fn start(&self) -> Result<Arc<Running>, Ended> {
        let recipe = &self.recipe;
        let unable = |why: String| Ended::Unable(why);
        let code = recipe
            .code
            .code()
            .await
            .map_err(|error| unable(error.to_string()))?;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()
            .map_err(|error| unable(format!("a pair of sockets: {error}")))?;
        ours.set_nonblocking(true)
            .and_then(|()| theirs.set_nonblocking(true))
            .map_err(|error| unable(format!("a pair of sockets: {error}")))?;
        let ours = UnixStream::from_std(ours).map_err(|error| unable(format!("a socket: {error}")))?;
        let (program, arguments) = recipe
            .command
            .split_first()
            .ok_or_else(|| unable("no program is configured".to_owned()))?;
        let uid = recipe.uids.as_ref().map(|uids| uids.next().to_string());
        let child = Command::new(program)
            .args(arguments)
            .args(&uid)
            .env_clear()
            // The one descriptor that it keeps. It has nothing to print: what is wrong, it says over the socket.
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir(PathBuf::from("/"))
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| unable(format!("{}: {error}", program.to_string_lossy())))?;
        let starts = self.starts.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::debug!(
            plugin = recipe.name,
            pid = child.id(),
            starts,
            uid,
            "a plugin's process starts"
        );
        let load = ToChild::Load(Load {
            world: recipe.world,
            interfaces: recipe.interfaces.clone(),
            bounds: recipe.bounds,
            code,
        });
        let running = Running::begin(recipe.name.clone(), child, ours);
        match tokio::time::timeout(START, running.load(load)).await {
            Ok(Ok(())) => Ok(running),
            Ok(Err(ended)) => Err(ended),
            Err(_) => {
                running.kill("it did not load its component in time");
                Err(Ended::Lost("it did not load its component in time".to_owned()))
            }
        }
    }
}
