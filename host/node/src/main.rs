//! The `velum-node` program: options, log, signals.

use std::{
    io::IsTerminal as _, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use velum_model::enrolment::HostPort;
use velum_node::{Guard, Node, StateLock, bind, enrol::enrol, serve, serve_tls};

/// How long effects under way may take to end after SIGTERM; what then still runs is found by the next start.
const ENDING: Duration = Duration::from_secs(30);

/// Serves one compute host to Velum's servers.
#[derive(Debug, Parser)]
#[command(name = "velum-node", version)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Directory for the gate's log, keys, seeds, console logs and records of bridges. The hypervisor's user must be able
    /// to pass through it.
    #[arg(long, global = true, default_value = "/var/lib/velum/node")]
    state: PathBuf,
    #[command(flatten)]
    serving: Serving,
}

/// What it does instead of serving.
#[derive(Debug, Subcommand)]
enum Command {
    /// Joins this machine to a cloud, so that servers on other machines can reach it: makes a key, has it certified, and
    /// prints the address to register a compute host with. Again, before the certificate ends after a year: the machine
    /// stays the node that it was.
    Enroll {
        /// Address of a server of the cloud.
        #[arg(long, value_name = "URL")]
        server: String,
        /// Join token, from `velum node token`.
        #[arg(long, env = "VELUM_NODE_TOKEN", hide_env_values = true)]
        token: String,
        /// Where servers reach this machine [default: its address on the way to the server, port 7443].
        #[arg(long, value_name = "ADDRESS:PORT", value_parser = host_port)]
        listen: Option<HostPort>,
    },
}

/// How it serves.
#[derive(Args, Debug)]
struct Serving {
    /// Unix socket to listen on.
    #[arg(long, default_value = "/run/velum/node.sock")]
    socket: PathBuf,
    /// Address to listen on for servers on other machines, which show certificates of the cloud that this machine was
    /// enrolled in.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// No Unix socket: only --listen.
    #[arg(long, requires = "listen")]
    no_socket: bool,
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

fn host_port(text: &str) -> Result<HostPort, String> {
    text.parse()
        .map_err(|()| "write ADDRESS:PORT, like 10.0.0.7:7443".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    match begin(Options::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("velum-node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn begin(options: Options) -> anyhow::Result<ExitCode> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match options.command {
        Some(Command::Enroll {
            server,
            token,
            listen,
        }) => {
            let address = enrol(&options.state, &server, &token, listen).await?;
            println!("{address}");
            eprintln!(
                "This machine is enrolled. Start velum-node with --listen, and register the compute host with --node {address}"
            );
            Ok(ExitCode::SUCCESS)
        }
        None => run(options.state, options.serving).await,
    }
}

async fn run(state: PathBuf, options: Serving) -> anyhow::Result<ExitCode> {
    let _lock = StateLock::take(&state)?;
    // Before anything is opened: who cannot serve does not begin.
    let far = match options.listen {
        Some(address) => {
            let guard = Guard::open(&state)?;
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("could not listen on {address}"))?;
            tracing::info!(%address, node = %guard.node(), "servers on other machines are served");
            if guard.ends_soon() {
                tracing::warn!(
                    "the certificate of this machine ends within a month: enrol it again, and start its node anew"
                );
            }
            Some((listener, guard))
        }
        None => None,
    };
    let node = Node::open(&state, options.libvirt_uri_allow, options.directory_allow)
        .await
        .context("velum-node cannot start")?;
    let node = Arc::new(node);
    let near = match options.no_socket {
        false => Some(bind(&options.socket, options.group.as_deref())?),
        true => None,
    };
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let has_socket = near.is_some();
    tracing::info!(socket = %options.socket.display(), has_socket, state = %state.display(), "velum-node is ready");
    let stop = CancellationToken::new();
    let stopping = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    };
    let at_the_socket = async {
        if let Some(listener) = near {
            serve(Arc::clone(&node), listener, stop.cancelled()).await;
        }
    };
    let from_afar = async {
        if let Some((listener, guard)) = far {
            serve_tls(Arc::clone(&node), listener, guard, stop.cancelled()).await;
        }
    };
    tokio::join!(at_the_socket, from_afar, stopping);
    if has_socket {
        // The socket first: a server that finds none knows that nothing was begun.
        let _ = std::fs::remove_file(&options.socket);
    }
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
