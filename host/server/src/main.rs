//! `velumd`: the server. Reads its configuration, wires the crates together, serves until it is told to stop.

mod authority;
mod background;
mod books;
mod boot;
mod config;
mod data;
mod database;
mod db;
mod observer;
mod plugins;
mod shards;
mod sources;
mod token;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// In place of glibc's, of which a profile of accepts showed a fifth, with the pages that it gives back and faults in again.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The Velum server.
///
/// Owns the hierarchy, the allocation and the API. It runs unprivileged; velum-node does what needs root on a compute
/// host. Every setting, its unit and its reason stand in config/default.toml. Without a command it serves.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Configuration file (TOML); it gives what differs from the defaults.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Data directory, in place of the configured one.
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// Address to serve the API on, in place of the configured one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<std::net::SocketAddr>,
    /// Address at which other servers reach this one's API, in place of the configured one.
    #[arg(long, value_name = "URL")]
    advertise: Option<String>,
    /// Directory of components to install at start, in place of the configured one.
    #[arg(long, value_name = "DIR")]
    plugins: Option<String>,
    /// Take over from another server on the same data that does not answer any more: waits for its leases to run out,
    /// then works under the next epoch. Servers that share a PostgreSQL do so by themselves, each on data of its own.
    #[arg(long)]
    take_over: bool,
}

/// What it does instead of serving.
#[derive(Debug, Subcommand)]
enum Command {
    /// Cares for the database: looks it over, backs it up, restores it, moves it to another engine.
    #[command(subcommand)]
    Db(db::Verb),
    /// Cares for the administrator's token.
    #[command(subcommand)]
    Token(token::Verb),
}

fn main() -> ExitCode {
    // The same program compiles components and runs drivers, as children that can be killed and have neither database nor
    // sockets.
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(code) = velum_runtime::child_main(&arguments) {
        return code;
    }
    let arguments = Arguments::parse();
    return_large_memory();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("velumd: {}", database::Chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// What is large goes back when it is freed. The allocator would learn from a component of 20 MiB that such things are wanted,
/// and keep the next ones for ever: some copies of each, on its way through a request.
fn return_large_memory() {
    #[cfg(target_env = "gnu")]
    {
        /// Above any row and page, below any component that matters.
        const LARGE_BYTES: libc::c_int = 1 << 20;
        #[expect(unsafe_code, reason = "there is no safe face of mallopt")]
        // SAFETY: it sets a number of the allocator, before a second thread exists.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES)
        };
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut config = Config::read(arguments.config.as_deref())?;
    config.data = arguments.data.unwrap_or(config.data);
    config.listen = arguments.listen.unwrap_or(config.listen);
    config.advertise = arguments.advertise.unwrap_or(config.advertise);
    config.plugins.directory = arguments.plugins.unwrap_or(config.plugins.directory);
    config.check()?;
    match arguments.command {
        Some(Command::Db(verb)) => db::run(&config, verb),
        Some(Command::Token(verb)) => token::run(&config, verb),
        None => serve(&config, arguments.take_over).map(|()| ExitCode::SUCCESS),
    }
}

/// Does something else than serving, on this thread.
fn aside(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    // What it writes holds the key of the cloud's authority, tokens or their hashes: whoever runs this reads it, and nobody else.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

fn serve(config: &Config, take_over: bool) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log.filter)
        .map_err(|problem| anyhow::anyhow!("log.filter does not parse: {problem}"))?;
    // PostgreSQL remarks that what is there already is there already.
    let filter = filter.add_directive("sqlx::postgres::notice=warn".parse()?);
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
        .block_on(boot::run(config, take_over, background.handle()));
    // What had time to end has ended; the rest goes on at the next start.
    background.shutdown_background();
    served
}
