//! `velum-sim`: the simulated far side as a process of its own, which outlives any server.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::Parser;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use velum_sim::{
    Sim, app, keep,
    listen::{Cuttable, Hangup},
    world::{Size, World},
};

/// A simulated far side: compute hosts, storage arrays, an image store.
#[derive(Debug, Parser)]
#[command(name = "velum-sim", version)]
struct Arguments {
    /// Where it listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7001")]
    listen: SocketAddr,
    /// Compute hosts in all.
    #[arg(long, default_value_t = 1_000)]
    hosts: u32,
    /// Zones that they are spread over.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    zones: u32,
    /// Pools of each zone.
    #[arg(long, default_value_t = 1)]
    pools_per_zone: u32,
    /// Processors of a compute host.
    #[arg(long, default_value_t = 32)]
    vcpus: u32,
    /// Memory of a compute host, MiB.
    #[arg(long, default_value_t = 131_072)]
    memory_mib: u64,
    /// vCPUs that may run for each processor.
    #[arg(long, default_value_t = 16)]
    overcommit_vcpus: u32,
    /// MiB that may run for each MiB.
    #[arg(long, default_value_t = 1)]
    overcommit_memory: u32,
    /// Room of a pool, GiB.
    #[arg(long, default_value_t = 65_536)]
    pool_gib: u64,
    /// How long starts, shutdowns, copies take, milliseconds; 0 = done at once.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Read at start if it is there, and written at the end.
    #[arg(long)]
    state_file: Option<PathBuf>,
}

impl Arguments {
    fn size(&self) -> Size {
        Size {
            hosts: self.hosts,
            zones: self.zones,
            pools_per_zone: self.pools_per_zone,
            vcpus: self.vcpus,
            memory_mib: self.memory_mib,
            overcommit_vcpus: self.overcommit_vcpus,
            overcommit_memory: self.overcommit_memory,
            pool_gib: self.pool_gib,
            latency_ms: self.latency_ms,
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let sim = Sim::new(open(&arguments)?);
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("could not listen on {}", arguments.listen))?;
    println!("velum-sim listening on http://{}", listener.local_addr()?);
    serve(listener, &sim).await?;
    if let Some(path) = &arguments.state_file {
        keep::write(path, &mut sim.world()).with_context(|| format!("could not keep {}", path.display()))?;
    }
    Ok(())
}

fn open(arguments: &Arguments) -> anyhow::Result<World> {
    let Some(path) = &arguments.state_file else {
        return Ok(World::new(arguments.size()));
    };
    let kept = keep::read(path).with_context(|| format!("could not read {}", path.display()))?;
    Ok(kept.unwrap_or_else(|| World::new(arguments.size())))
}

/// Serves until a signal ends it. Connections that are still open are not waited for: what they asked is done or not, and a
/// caller that cannot know observes.
async fn serve(listener: TcpListener, sim: &Arc<Sim>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let service = app(Arc::clone(sim)).into_make_service_with_connect_info::<Hangup>();
    tokio::select! {
        ended = axum::serve(Cuttable(listener), service) => ended.context("serving ended"),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
