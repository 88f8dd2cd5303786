//! `velumd`: the server. Reads its configuration, wires the crates together, serves until it is told to stop.

mod background;
mod boot;
mod config;
mod data;
mod observer;
mod plugins;
mod sources;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// The Velum server.
///
/// Owns the hierarchy, the allocation and the API. It runs unprivileged; velum-node does what needs root on a compute
/// host. Every setting, its unit and its reason stand in config/default.toml.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file (TOML); it gives what differs from the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory, in place of the configured one.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address to serve the API on, in place of the configured one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<std::net::SocketAddr>,
    /// Directory of components to install at start, in place of the configured one.
    #[arg(long, value_name = "DIR")]
    plugins: Option<String>,
    /// Take over from another server on the same data that does not answer any more: waits for its leases to run out,
    /// then works under the next epoch.
    #[arg(long)]
    take_over: bool,
}

fn main() -> ExitCode {
    // The same program compiles components, as a child that can be killed and has neither database nor sockets.
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == velum_runtime::COMPILE_ARGUMENT
    {
        return velum_runtime::compile_child_main(rest);
    }
    match serve(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("velumd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let mut config = Config::read(arguments.config.as_deref())?;
    config.data = arguments.data.unwrap_or(config.data);
    config.listen = arguments.listen.unwrap_or(config.listen);
    config.plugins = arguments.plugins.unwrap_or(config.plugins);
    let filter = EnvFilter::try_new(&config.log.filter)
        .map_err(|problem| anyhow::anyhow!("log.filter does not parse: {problem}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
    let background = background::start()?;
    let served = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("velumd")
        .build()?
        .block_on(boot::run(&config, arguments.take_over, background.handle()));
    // What had time to end has ended; the rest goes on at the next start.
    background.shutdown_background();
    served
}
