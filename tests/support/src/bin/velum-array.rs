//! `velum-array`: a small storage array for tests, with real iSCSI units and a REST API of its own.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use clap::Parser;
use velum_support::array::{Setup, State, serve};

/// A small storage array for tests: iSCSI units through tgtd, a REST API of its own, and faults on request. Nothing of it
/// outlives the process.
#[derive(Debug, Parser)]
#[command(name = "velum-array", version)]
struct Arguments {
    /// Where its REST API listens.
    #[arg(long, default_value = "127.0.0.1:7002")]
    listen: SocketAddr,
    /// Where its targets listen: an address of this machine that nothing else has.
    #[arg(long, default_value = "127.0.0.1:3260")]
    portal: SocketAddr,
    /// Its name, in the names of its targets.
    #[arg(long, default_value = "q1")]
    name: String,
    /// Where its units lie, as sparse files.
    #[arg(long)]
    directory: PathBuf,
    /// What its pool tier1 holds, MiB.
    #[arg(long, default_value_t = 65_536)]
    pool_mb: u64,
    /// What requests must carry in X-Auth-Token.
    #[arg(long, env = "VELUM_ARRAY_TOKEN", hide_env_values = true)]
    token: String,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // Before the runtime: tgtd ends with the thread that started it, and this one lives as long as the process.
    let state = State::start(Setup {
        name: arguments.name,
        directory: arguments.directory,
        portal: arguments.portal,
        pool_mb: arguments.pool_mb,
        token: arguments.token,
    })?;
    let runtime = tokio::runtime::Runtime::new().context("could not start")?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(arguments.listen)
            .await
            .with_context(|| format!("could not listen on {}", arguments.listen))?;
        println!("velum-array serves http://{}/api/v2", arguments.listen);
        serve(state, listener).await
    })
}
