//! Instances accepted per second over HTTP: 1,000 simulated compute hosts, 64 clients, each with one request under way.
//! Accepted means 202: instance, claims, addresses, volume, operation and decision are durable. The operations run at
//! the same time, against the simulated far side.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
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

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
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
    let median = |of: fn(&Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
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
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..arguments.clients {
        let (client, world, next) = (cloud.client()?, Arc::clone(world), Arc::clone(&next));
        let wanted = arguments.instances;
        clients.push(tokio::spawn(async move {
            let mut took = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= wanted {
                    return anyhow::Ok(took);
                }
                let began = Instant::now();
                client
                    .instances()
                    .create(&world.instance(&format!("r{round}-i{number}")))
                    .await?;
                took.push(began.elapsed());
            }
        }));
    }
    let mut took = Vec::new();
    for client in clients {
        took.extend(client.await??);
    }
    let elapsed = began.elapsed().as_secs_f64();
    let after = counters(cloud).await?;
    took.sort_unstable();
    let at = |share: f64| {
        let index = ((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1));
        took.get(index).map_or(0.0, |d| d.as_secs_f64() * 1000.0)
    };
    let transactions = (after.transactions - before.transactions).max(1.0);
    Ok(Round {
        rate: took.len() as f64 / elapsed,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
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
