//! Instances accepted per second over HTTP: 1,000 simulated compute hosts, 64 clients, each with one request under way.
//! Accepted means 202: instance, claims, addresses, volume, operation and decision are durable. The operations run at
//! the same time, against the simulated far side.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Parser;
use velum_bench::clients::{ask, median};
use velum_support::{Aim, CloudOptions, Report, TestCloud, World, WorldOptions};

/// Accepts per second.
#[derive(Debug, Parser)]
struct Arguments {
    /// Simulated compute hosts.
    #[arg(long, default_value_t = 1000)]
    hosts: u32,
    /// Clients, each with one request under way.
    #[arg(long, default_value_t = 64)]
    clients: u32,
    /// Instances to be accepted in one round.
    #[arg(long, default_value_t = 4000)]
    instances: u64,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

struct Round {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    statements: f64,
    batch: f64,
}

/// Runs it.
#[tokio::main]
pub async fn main() -> anyhow::Result<ExitCode> {
    let arguments = velum_bench::arguments::<Arguments>();
    let options = CloudOptions {
        hosts: arguments.hosts,
        zones: 1,
        ..CloudOptions::default()
    };
    let cloud = TestCloud::start(&options).await?;
    let world = Arc::new(
        World::build(
            &cloud,
            &WorldOptions {
                hosts: arguments.hosts,
                ..WorldOptions::default()
            },
        )
        .await?,
    );
    let mut rounds = Vec::new();
    for number in 0..arguments.rounds {
        let round = accept(&cloud, &world, &arguments, number).await?;
        eprintln!(
            "round {}: {:.0} accepts/s, p50 {:.1} ms, p99 {:.1} ms, {:.1} statements and {:.1} commits a transaction",
            number + 1,
            round.rate,
            round.p50_ms,
            round.p99_ms,
            round.statements,
            round.batch
        );
        cloud.run_until_idle(Duration::from_secs(300)).await?;
        rounds.push(round);
    }
    let rss = cloud.velumd.resident_bytes()?;
    let violations = cloud.violations().await?;
    let median = |of: fn(&Round) -> f64| median(rounds.iter().map(of).collect());
    let spread: Vec<f64> = rounds.iter().map(|r| r.rate.round()).collect();
    Ok(
        Report::new("accept", median(|r| r.rate), "instances/s", Aim::AtLeast(500.0))
            .with("p50_ms", median(|r| r.p50_ms))
            .with("p99_ms", median(|r| r.p99_ms))
            .with("statements_per_transaction", median(|r| r.statements))
            .with("commits_per_transaction", median(|r| r.batch))
            .with("rounds", spread)
            .with("hosts", arguments.hosts)
            .with("clients", arguments.clients)
            .with("instances", arguments.instances * u64::from(arguments.rounds))
            .with("rss_mib", rss >> 20)
            .require("no_violations", violations.is_empty())
            .print(),
    )
}

async fn accept(
    cloud: &TestCloud,
    world: &Arc<World>,
    arguments: &Arguments,
    round: u32,
) -> anyhow::Result<Round> {
    let before = counters(cloud).await?;
    let clients: anyhow::Result<Vec<_>> = (0..arguments.clients).map(|_| cloud.client()).collect();
    let world = Arc::clone(world);
    let seen = ask(&clients?, arguments.instances, move |client, number| {
        let body = world.instance(&format!("r{round}-i{number}"));
        async move {
            client.instances().create(&body).await?;
            Ok(())
        }
    })
    .await?;
    let after = counters(cloud).await?;
    let transactions = (after.transactions - before.transactions).max(1.0);
    Ok(Round {
        rate: seen.rate(),
        p50_ms: seen.at(0.5),
        p99_ms: seen.at(0.99),
        statements: (after.statements - before.statements) / transactions,
        batch: (after.commits - before.commits) / transactions,
    })
}

/// What the server's writer counts.
struct Counters {
    statements: f64,
    transactions: f64,
    commits: f64,
}

async fn counters(cloud: &TestCloud) -> anyhow::Result<Counters> {
    let ask = reqwest::Client::new()
        .get(format!("{}/metrics", cloud.url))
        .bearer_auth(cloud.token()?);
    let text = ask.send().await?.error_for_status()?.text().await?;
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok())
            .with_context(|| format!("the metrics have no {name}:\n{text}"))
    };
    Ok(Counters {
        statements: value("velum_store_statements_total ")?,
        transactions: value("velum_store_transactions_total ")?,
        commits: value("velum_store_commits_total ")?,
    })
}
