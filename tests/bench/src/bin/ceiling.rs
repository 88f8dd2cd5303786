//! Accepts a second against what the disk gives: instances over HTTP, in batches and one by one, in a zone of 100,000 compute hosts
//! on SQLite with synchronous=FULL, beside the prototype that writes three rows an instance without HTTP (`peers/ceiling-rs`).

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use velum_bench::{
    accepts::{Ground, prototype},
    clients::median,
};
use velum_support::{Aim, Report};

/// Accepts a second.
#[derive(Debug, Parser)]
struct Arguments {
    /// Compute hosts of the zone.
    #[arg(long, default_value_t = 100_000)]
    hosts: u32,
    /// Instances of a batch.
    #[arg(long, default_value_t = 128)]
    batch: u64,
    /// Clients that send batches.
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Clients that make one at a time.
    #[arg(long, default_value_t = 64)]
    single_clients: usize,
    /// Instances of one round by batches; a quarter as many one by one.
    #[arg(long, default_value_t = 8192)]
    instances: u64,
    /// Rounds of all, in turns; the medians count.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// The prototype's binary; left out, nothing is compared.
    #[arg(long, env = "VELUM_CEILING_RS")]
    prototype: Option<PathBuf>,
}

#[derive(Default)]
struct Rounds {
    batches: Vec<f64>,
    batch_p50_ms: Vec<f64>,
    cpu_us: Vec<f64>,
    singles: Vec<f64>,
    single_p50_ms: Vec<f64>,
    single_p99_ms: Vec<f64>,
    prototypes: Vec<f64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut ground = Ground::of(arguments.hosts).await?;
    let mut rounds = Rounds::default();
    for round in 0..arguments.rounds {
        let before = ground.cloud.velumd.cpu_seconds()?;
        let how = (arguments.clients, arguments.batch);
        let many = ground
            .by_batch(&format!("b{round}"), how, arguments.instances)
            .await?;
        let cpu = (ground.cloud.velumd.cpu_seconds()? - before) / arguments.instances as f64;
        let named = format!("s{round}");
        let one = ground
            .one_by_one(&named, arguments.single_clients, arguments.instances / 4)
            .await?;
        rounds.batches.push(many.rate() * arguments.batch as f64);
        rounds.batch_p50_ms.push(many.at(0.5));
        rounds.cpu_us.push(cpu * 1e6);
        rounds.singles.push(one.rate());
        rounds.single_p50_ms.push(one.at(0.5));
        rounds.single_p99_ms.push(one.at(0.99));
        eprintln!(
            "round {}: by batches {:.0}/s (p50 {:.1} ms a batch, {:.0} us of the server's CPU each); one by one {:.0}/s (p50 {:.1} ms, \
             p99 {:.1} ms)",
            round + 1,
            many.rate() * arguments.batch as f64,
            many.at(0.5),
            cpu * 1e6,
            one.rate(),
            one.at(0.5),
            one.at(0.99),
        );
        if let Some(binary) = &arguments.prototype {
            let (rate, ..) = prototype(binary, arguments.hosts, ground.cloud.directory(), 256)?;
            eprintln!("the prototype: {rate:.0}/s");
            rounds.prototypes.push(rate);
        }
    }
    let (ready_again, all_there, violations) = ground.recount().await?;
    let (by_batch, one_by_one) = (median(rounds.batches), median(rounds.singles));
    let rate = by_batch.max(one_by_one);
    let mut report = Report::new("ceiling", rate, "accepts/s", Aim::AtLeast(6000.0))
        .with("hosts", arguments.hosts)
        .with("batch", arguments.batch)
        .with("by_batches_per_s", by_batch.round())
        .with("batch_p50_ms", median(rounds.batch_p50_ms))
        .with("server_cpu_us_each", median(rounds.cpu_us))
        .with("one_by_one_per_s", one_by_one.round())
        .with("one_p50_ms", median(rounds.single_p50_ms))
        .with("one_p99_ms", median(rounds.single_p99_ms))
        .with("ready_s", ground.ready.as_secs_f64())
        .with("ready_again_s", ready_again.as_secs_f64())
        .with("instances", ground.accepted)
        .with("rss_mib", ground.cloud.velumd.resident_bytes()? >> 20)
        .require("no_violations", violations.is_empty())
        .require("all_are_there_after_kill_9", all_there);
    if arguments.prototype.is_some() {
        let prototype = median(rounds.prototypes);
        report = report
            .with("prototype_per_s", prototype.round())
            .with("of_the_prototype", rate / prototype)
            .require("at_least_14_percent_of_the_prototype", rate / prototype >= 0.14);
    }
    Ok(report.print())
}
