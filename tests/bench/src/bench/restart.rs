//! From the start of a server that was killed to its first placement: 100,000 compute hosts and 1,000,000 claims.
//!
//! A claim is what an instance holds that nobody else can have, each a row with its part in a guarded sum or a unique index: its run
//! (vCPUs and memory of a compute host), its root volume (bytes of a pool), its address. So an instance is three, and there are a
//! third as many instances as claims.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use velum_bench::{
    accepts::{Ground, GroundOptions, Pace},
    clients::median,
};
use velum_support::{Aim, Report};

/// Start to ready and first placement.
#[derive(Debug, Parser)]
struct Arguments {
    /// Compute hosts of the zone.
    #[arg(long, default_value_t = 100_000)]
    hosts: u32,
    /// Claims, three an instance.
    #[arg(long, default_value_t = 1_000_000)]
    claims: u64,
    /// Let the operations stand still, which fills faster: no instance runs, and the server that starts finds them all unfinished.
    #[arg(long)]
    still: bool,
    /// Instances of a batch that fills.
    #[arg(long, default_value_t = 128)]
    batch: u64,
    /// Clients that fill.
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Kills and starts; the medians count.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

/// Run, root volume, address.
const CLAIMS_EACH: u64 = 3;
/// What the operations may take before the first kill: 100 instances a second.
const MADE_WITHIN: Duration = Duration::from_secs(3600);

/// Runs it.
#[tokio::main]
pub async fn main() -> anyhow::Result<ExitCode> {
    let arguments = velum_bench::arguments::<Arguments>();
    let pace = if arguments.still { Pace::Still } else { Pace::Quiet };
    let options = GroundOptions {
        hosts: arguments.hosts,
        pace,
        ..GroundOptions::default()
    };
    let mut ground = Ground::with(options).await?;
    let instances = arguments.claims.div_ceil(CLAIMS_EACH);
    ground.widen(instances + arguments.batch).await?;
    let how = (arguments.clients, arguments.batch);
    let filled = ground.by_batch("i", how, instances).await?;
    eprintln!(
        "{} instances accepted in {:.0} s",
        ground.accepted,
        filled.elapsed.as_secs_f64()
    );
    if !arguments.still {
        ground.cloud.run_until_idle(MADE_WITHIN).await?;
        // The default configuration from here on: the server that starts begins to look at its compute hosts.
        ground.set_pace(Pace::Usual)?;
    }
    let claims = ground.accepted * CLAIMS_EACH;
    let (mut wholes, mut readies, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..arguments.rounds {
        ground.cloud.kill();
        let ready = ground.cloud.restart().await?;
        let first = ground.one_by_one(&format!("first-{round}"), 1, 1).await?;
        eprintln!(
            "start {}: ready after {:.2} s, the first placement {:.1} ms later",
            round + 1,
            ready.as_secs_f64(),
            first.elapsed.as_secs_f64() * 1000.0
        );
        wholes.push((ready + first.elapsed).as_secs_f64());
        readies.push(ready.as_secs_f64());
        firsts.push(first.elapsed.as_secs_f64() * 1000.0);
    }
    let rss = ground.cloud.velumd.resident_bytes()? >> 20;
    let found = ground.recount().await?;
    let report = Report::new("restart", median(wholes), "s", Aim::AtMost(10.0))
        .with("hosts", arguments.hosts)
        .with("claims", claims)
        .with("instances", ground.accepted)
        .with("operations_stand_still", arguments.still)
        .with("ready_s", median(readies))
        .with("first_placement_ms", median(firsts))
        .with("rss_mib", rss);
    Ok(found.told(report).print())
}
