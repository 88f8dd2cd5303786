//! How the rate of accepts grows less as the zone grows: the same batches in zones of 5,000 and of 100,000 compute hosts, in turns.

use std::process::ExitCode;

use clap::Parser;
use velum_bench::{accepts::Ground, clients::median};
use velum_support::{Aim, Report};

/// The rate in a large zone over that in a small one.
#[derive(Debug, Parser)]
struct Arguments {
    /// Compute hosts of the zones, the small one first.
    #[arg(long, value_delimiter = ',', default_value = "5000,100000")]
    hosts: Vec<u32>,
    /// Instances of a batch.
    #[arg(long, default_value_t = 128)]
    batch: u64,
    /// Clients that send batches.
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Instances of one round.
    #[arg(long, default_value_t = 8192)]
    instances: u64,
    /// Rounds of each, in turns; the medians count.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
}

/// Runs it.
#[tokio::main]
pub async fn main() -> anyhow::Result<ExitCode> {
    let arguments = velum_bench::arguments::<Arguments>();
    let mut grounds = Vec::new();
    for &hosts in &arguments.hosts {
        grounds.push((hosts, Ground::of(hosts).await?, Vec::new()));
    }
    for round in 0..arguments.rounds {
        for (hosts, ground, rates) in &mut grounds {
            let how = (arguments.clients, arguments.batch);
            let seen = ground
                .by_batch(&format!("b{round}"), how, arguments.instances)
                .await?;
            let rate = seen.rate() * arguments.batch as f64;
            eprintln!("round {}, {hosts} compute hosts: {rate:.0}/s", round + 1);
            rates.push(rate);
        }
    }
    let mut rates = Vec::new();
    let mut is_well = true;
    for (hosts, mut ground, seen) in grounds {
        is_well &= ground.recount().await?.is_well();
        rates.push((hosts, median(seen)));
    }
    let of = |at: Option<&(u32, f64)>| at.map_or(f64::NAN, |(_, rate)| *rate);
    let share = of(rates.last()) / of(rates.first());
    let mut report = Report::new("growth", share, "large : small", Aim::AtLeast(0.25));
    for (hosts, rate) in rates {
        report = report.with(&format!("at_{hosts}_per_s"), rate.round());
    }
    Ok(report.require("no_violations_and_all_there", is_well).print())
}
