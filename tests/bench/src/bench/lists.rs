//! How long a page of 500 rows takes at the 99th percentile: every list with every filter, at 25,000 compute hosts, 25,000 instances
//! and 50,000 volumes, by 8 clients. The worst is the figure.
//!
//! Instances, volumes and what belongs to them are made through the API, and their operations end before anything is read; compute
//! hosts and pools are written into the database, as for every bench.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use velum_bench::{
    accepts::{Ground, GroundOptions, Pace},
    clients::{ask, median},
    lists::{List, Reader, Worst, read},
};
use velum_client::Filter;
use velum_support::{Aim, Report};
use velum_wire::{CreateDiskOfferingBody, CreateVolumeBody, InstanceState};

/// The worst p99 of a page of 500.
#[derive(Debug, Parser)]
struct Arguments {
    /// Compute hosts.
    #[arg(long, default_value_t = 25_000)]
    hosts: u32,
    /// Instances, each with a root volume.
    #[arg(long, default_value_t = 25_000)]
    instances: u64,
    /// Volumes, those of the instances among them.
    #[arg(long, default_value_t = 50_000)]
    volumes: u64,
    /// Clients that read.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Requests of one round for each kind of page.
    #[arg(long, default_value_t = 160)]
    requests: u64,
    /// Rounds of all, in turns; the medians count.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Clients that fill.
const FILLERS: usize = 16;
/// A volume that needs no room: 1 MiB.
const VOLUME: u64 = 1 << 20;
/// What 75,000 operations may take: 60 a second.
const FILLED_WITHIN: Duration = Duration::from_secs(1200);

/// Runs it.
#[tokio::main]
pub async fn main() -> anyhow::Result<ExitCode> {
    let arguments = velum_bench::arguments::<Arguments>();
    let options = GroundOptions {
        hosts: arguments.hosts,
        pace: Pace::Quiet,
        ..GroundOptions::default()
    };
    let mut ground = Ground::with(options).await?;
    ground.by_batch("i", (4, 100), arguments.instances).await?;
    let more = arguments.volumes.saturating_sub(ground.accepted);
    data_volumes(&ground, more).await?;
    ground.cloud.run_until_idle(FILLED_WITHIN).await?;
    let lists = Reader::of(&ground.cloud)?.lists().await?;
    let (worst, worst_ms) = measure(&ground, &lists, &arguments).await?;
    let rows = |name: &str| {
        lists
            .iter()
            .find(|list| list.name == name)
            .map_or(0, |list| list.rows)
    };
    let wanted = [
        ("compute-hosts", u64::from(arguments.hosts)),
        ("instances", arguments.instances),
        ("volumes", arguments.volumes),
    ];
    let is_full = wanted.iter().all(|(name, count)| rows(name) as u64 >= *count);
    let running = running(&ground).await?;
    let found = ground.recount().await?;
    let report = Report::new("lists", worst_ms, "ms", Aim::AtMost(50.0))
        .with("clients", arguments.clients)
        .with("hosts", rows("compute-hosts"))
        .with("instances", rows("instances"))
        .with("volumes", rows("volumes"))
        .with("lists", worst.told())
        .require("as_many_as_asked", is_full)
        .require("all_run", running == ground.accepted);
    Ok(found.told(report).print())
}

/// Volumes that no instance has, one request each.
async fn data_volumes(ground: &Ground, count: u64) -> anyhow::Result<()> {
    let clients: Vec<_> = (0..FILLERS)
        .map(|_| ground.cloud.client())
        .collect::<Result<_, _>>()?;
    let client = clients.first().context("there is a client")?;
    let shape = CreateDiskOfferingBody {
        name: "small".into(),
        size_bytes: Some(VOLUME),
        storage_tags: Vec::new(),
    };
    let offering = client.disk_offerings().create(&shape).await?.value.id;
    let zone = ground.world.zone;
    let seen = ask(&clients, count, move |client, number| {
        let body = CreateVolumeBody {
            zone_id: zone,
            name: format!("data-{number}"),
            disk_offering_id: offering,
            size_bytes: None,
        };
        async move {
            client.volumes().create(&body).await?;
            Ok(())
        }
    })
    .await?;
    eprintln!("{count} data volumes accepted, {:.0}/s", seen.rate());
    Ok(())
}

/// The worst kind of page of each list, and the worst p99 of all.
async fn measure(ground: &Ground, lists: &[List], arguments: &Arguments) -> anyhow::Result<(Worst, f64)> {
    let readers: Vec<_> = (0..arguments.clients)
        .map(|_| Reader::of(&ground.cloud))
        .collect::<Result<_, _>>()?;
    let kinds: Vec<_> = lists
        .iter()
        .flat_map(|list| list.asked.iter().map(move |asked| (list, asked)))
        .collect();
    let mut seen: Vec<(Vec<f64>, Vec<f64>)> = vec![Default::default(); kinds.len()];
    for round in 0..arguments.rounds {
        for ((_, asked), (p50, p99)) in kinds.iter().zip(&mut seen) {
            let once = read(&readers, asked, arguments.requests).await?;
            p50.push(once.at(0.5));
            p99.push(once.at(0.99));
        }
        eprintln!("round {}: {} kinds of pages", round + 1, kinds.len());
    }
    let (mut worst, mut worst_ms) = (Worst::default(), 0_f64);
    let medians: Vec<_> = seen
        .into_iter()
        .map(|(p50, p99)| (median(p50), median(p99)))
        .collect();
    for list in lists {
        let of_list = kinds
            .iter()
            .zip(&medians)
            .filter(|((of, _), _)| of.name == list.name);
        let slowest = of_list.max_by(|(_, (_, a)), (_, (_, b))| a.total_cmp(b));
        let ((_, asked), (p50, p99)) = slowest.context("each list is read")?;
        eprintln!(
            "{}, {} rows: worst by {}, p50 {p50:.1} ms, p99 {p99:.1} ms",
            list.name, list.rows, asked.by
        );
        worst.note(list, &asked.by, *p50, *p99);
        worst_ms = worst_ms.max(*p99);
    }
    Ok((worst, worst_ms))
}

async fn running(ground: &Ground) -> anyhow::Result<u64> {
    let all = ground.cloud.client()?.instances().all(&Filter::new()).await?;
    Ok(all.iter().filter(|i| i.state == InstanceState::Running).count() as u64)
}
