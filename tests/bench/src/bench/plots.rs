//! The points of the plots: accepts a second and how long they take, one by one and by batches, at several numbers of compute hosts and
//! of clients. One line of JSON with all of them; `plots/draw.py` draws it.

use std::process::ExitCode;

use clap::Parser;
use serde_json::json;
use velum_bench::{
    accepts::Ground,
    clients::{Seen, median},
};
use velum_support::{Aim, Report};

/// Rate and latency against compute hosts and clients.
#[derive(Debug, Parser)]
struct Arguments {
    /// Compute hosts of the zones.
    #[arg(long, value_delimiter = ',', default_value = "1000,5000,20000,100000")]
    hosts: Vec<u32>,
    /// Clients.
    #[arg(long, value_delimiter = ',', default_value = "1,4,16,64")]
    clients: Vec<usize>,
    /// Instances of one point and round, one by one.
    #[arg(long, default_value_t = 1000)]
    instances: u64,
    /// The same by batches; at least one batch for each client.
    #[arg(long, default_value_t = 2048)]
    batched: u64,
    /// Instances of a batch.
    #[arg(long, default_value_t = 128)]
    batch: u64,
    /// Rounds of all points, in turns; the medians count. 1,000 compute hosts have room for one.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
}

/// What the rounds of one point gave.
#[derive(Clone, Default)]
struct Point {
    per_s: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
}

impl Point {
    fn add(&mut self, seen: &Seen, each: u64) {
        self.per_s.push(seen.rate() * each as f64);
        self.p50_ms.push(seen.at(0.5));
        self.p99_ms.push(seen.at(0.99));
    }

    fn told(self, hosts: u32, clients: usize, batch: u64) -> serde_json::Value {
        json!({
            "hosts": hosts, "clients": clients, "batch": batch, "per_s": median(self.per_s),
            "p50_ms": median(self.p50_ms), "p99_ms": median(self.p99_ms),
        })
    }
}

/// One zone with its points, of each number of clients one by one and by batches.
struct Zone {
    hosts: u32,
    ground: Ground,
    points: Vec<(usize, Point, Point)>,
}

impl Zone {
    async fn round(&mut self, arguments: &Arguments, round: u32) -> anyhow::Result<()> {
        for (clients, single, batched) in &mut self.points {
            let named = format!("r{round}-c{clients}");
            let seen = self
                .ground
                .one_by_one(&format!("{named}-s"), *clients, arguments.instances)
                .await?;
            single.add(&seen, 1);
            let instances = arguments.batched.max(arguments.batch * *clients as u64);
            let how = (*clients, arguments.batch);
            let many = self
                .ground
                .by_batch(&format!("{named}-b"), how, instances)
                .await?;
            batched.add(&many, arguments.batch);
            eprintln!(
                "round {}, {} compute hosts, {clients} clients: one by one {:.0}/s, by batches {:.0}/s",
                round + 1,
                self.hosts,
                seen.rate(),
                many.rate() * arguments.batch as f64
            );
        }
        Ok(())
    }
}

/// Runs it.
#[tokio::main]
pub async fn main() -> anyhow::Result<ExitCode> {
    let arguments = velum_bench::arguments::<Arguments>();
    let mut zones = Vec::new();
    for &hosts in &arguments.hosts {
        let none = |&clients: &usize| (clients, Point::default(), Point::default());
        zones.push(Zone {
            hosts,
            ground: Ground::of(hosts).await?,
            points: arguments.clients.iter().map(none).collect(),
        });
    }
    let a_round = arguments.clients.iter().map(|&clients| {
        let batched = arguments.batched.max(arguments.batch * clients as u64);
        arguments.instances + batched + arguments.batch
    });
    let in_all = a_round.sum::<u64>() * u64::from(arguments.rounds);
    for zone in &mut zones {
        zone.ground.widen(in_all).await?;
    }
    for round in 0..arguments.rounds {
        for zone in &mut zones {
            zone.round(&arguments, round).await?;
        }
    }
    let (mut points, mut is_well) = (Vec::new(), true);
    for mut zone in zones {
        is_well &= zone.ground.recount().await?.is_well();
        for (clients, single, batched) in zone.points {
            points.push(single.told(zone.hosts, clients, 1));
            points.push(batched.told(zone.hosts, clients, arguments.batch));
        }
    }
    let wanted = 2 * arguments.hosts.len() * arguments.clients.len();
    let report = Report::new(
        "plots",
        points.len() as f64,
        "points",
        Aim::AtLeast(wanted as f64),
    );
    Ok(report
        .with("points", points)
        .require("no_violations_and_all_there", is_well)
        .print())
}
