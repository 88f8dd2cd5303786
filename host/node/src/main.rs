//! The `velum-node` program: options, log, signals.

use std::{io::IsTerminal as _, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use velum_node::{Node, StateLock, bind, serve};

/// How long effects under way may take to end after SIGTERM; what then still runs is found by the next start.
const ENDING: Duration = Duration::from_secs(30);

/// Serves one compute host to Velum's servers.
#[derive(Debug, Parser)]
#[command(name = "velum-node", version)]
struct Options {
    /// Unix socket to listen on.
    #[arg(long, default_value = "/run/velum/node.sock")]
    socket: PathBuf,
    /// Directory for the gate's log, seeds, console logs and records of bridges. The hypervisor's user must be able to
    /// pass through it.
    #[arg(long, default_value = "/var/lib/velum/node")]
    state: PathBuf,
    /// Group whose members (the server) may use the socket.
    #[arg(long)]
    group: Option<String>,
    /// libvirt connection URIs that servers may ask for, separated by commas; the first is where networks are looked up.
    #[arg(long, value_delimiter = ',', default_value = "qemu:///system")]
    libvirt_uri_allow: Vec<String>,
    /// Directories below which pools and image stores may be, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "/var/lib/velum,/srv/velum")]
    directory_allow: Vec<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let _lock = StateLock::take(&options.state)?;
    let node = Node::open(&options.state, options.libvirt_uri_allow, options.directory_allow)
        .await
        .context("velum-node cannot start")?;
    let node = Arc::new(node);
    let listener = bind(&options.socket, options.group.as_deref())?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tracing::info!(socket = %options.socket.display(), state = %options.state.display(), "velum-node is ready");
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve(Arc::clone(&node), listener, stop).await;
    // The socket first: a server that finds none knows that nothing was begun.
    let _ = std::fs::remove_file(&options.socket);
    tracing::info!("stopping: no new effect begins, those under way end");
    tokio::select! {
        quiet = node.quiet(ENDING) => {
            if !quiet {
                tracing::warn!("effects are still under way; they are left to the next start");
            }
        }
        _ = terminate.recv() => tracing::warn!("told to stop a second time"),
        _ = interrupt.recv() => tracing::warn!("told to stop a second time"),
    }
    // Threads that are stuck in libvirt would keep the runtime from ending.
    std::process::exit(0);
}
