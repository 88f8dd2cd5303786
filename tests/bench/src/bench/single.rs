//! One accept on an idle server: over HTTP, with all its rows, against the bare commit of three rows by the prototype, at the same number
//! of compute hosts.

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use clap::Parser;
use velum_bench::{
    accepts::{Ground, prototype},
    clients::median,
};
use velum_support::{Aim, Report};

/// One accept at a time over the prototype's bare commit.
#[derive(Debug, Parser)]
struct Arguments {
    /// Compute hosts of the zone.
    #[arg(long, default_value_t = 100_000)]
    hosts: u32,
    /// Instances of one round.
    #[arg(long, default_value_t = 1000)]
    instances: u64,
    /// Rounds of both, in turns; the medians count.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// The prototype's binary.
    #[arg(long, env = "VELUM_CEILING_RS")]
    prototype: PathBuf,
}

/// Runs it.
#[tokio::main]
pub async fn main() -> anyhow::Result<ExitCode> {
    let arguments = velum_bench::arguments::<Arguments>();
    let mut ground = Ground::of(arguments.hosts).await?;
    let (mut ours, mut bare) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for round in 0..arguments.rounds {
        let seen = ground
            .one_by_one(&format!("s{round}"), 1, arguments.instances)
            .await?;
        let (_, p50, p99) = prototype(&arguments.prototype, arguments.hosts, ground.cloud.directory(), 1)?;
        // The prototype fills a file: the next round does not wait for the disk to take that in.
        anyhow::ensure!(
            Command::new("sync").status()?.success(),
            "sync does not write what is cached to the disk"
        );
        eprintln!(
            "round {}: p50 {:.2} ms, p99 {:.2} ms; the bare commit {p50:.2} ms, {p99:.2} ms",
            round + 1,
            seen.at(0.5),
            seen.at(0.99)
        );
        ours.0.push(seen.at(0.5));
        ours.1.push(seen.at(0.99));
        bare.0.push(p50);
        bare.1.push(p99);
    }
    let found = ground.recount().await?;
    let (p50, p99) = (median(ours.0), median(ours.1));
    let (bare_p50, bare_p99) = (median(bare.0), median(bare.1));
    let report = Report::new(
        "single",
        p50 / bare_p50,
        "p50 over the bare commit's",
        Aim::AtMost(5.0),
    )
    .with("hosts", arguments.hosts)
    .with("p99_over_the_bare_commits", p99 / bare_p99)
    .with("p50_ms", p50)
    .with("p99_ms", p99)
    .with("bare_p50_ms", bare_p50)
    .with("bare_p99_ms", bare_p99)
    .require("p99_at_most_8", p99 / bare_p99 <= 8.0);
    Ok(found.told(report).print())
}
