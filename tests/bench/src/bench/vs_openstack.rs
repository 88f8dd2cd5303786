//! Durable placements a second over HTTP beside OpenStack Placement, in turns: 5,000 compute hosts, 4 clients, each with one request
//! under way. Ours is `POST /v1/instances` until 202; theirs what Nova makes of a placement.

use std::process::ExitCode;

use clap::Parser;
use velum_bench::{
    accepts::Ground,
    clients::median,
    placement::{Installed, Placement},
    processes,
};
use velum_support::{Aim, Report};

/// Placements a second over OpenStack Placement's.
#[derive(Debug, Parser)]
struct Arguments {
    /// Compute hosts of both.
    #[arg(long, default_value_t = 5000)]
    hosts: u32,
    /// Clients of both.
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Our instances of one round.
    #[arg(long, default_value_t = 4000)]
    instances: u64,
    /// Their placements of one round: half a minute.
    #[arg(long, default_value_t = 60)]
    placements: u64,
    /// Rounds of both, in turns; the medians count.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    #[command(flatten)]
    openstack: Installed,
}

/// Placements a second, p50 and p99 in milliseconds, milliseconds of the server's processor time each.
#[derive(Default)]
struct Rounds {
    per_s: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    cpu_ms: Vec<f64>,
}

impl Rounds {
    fn add(&mut self, who: &str, [per_s, p50_ms, p99_ms, cpu_ms]: [f64; 4]) {
        eprintln!(
            "{who}: {per_s:.1} placements/s, p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, {cpu_ms:.3} ms of the server's CPU each"
        );
        self.per_s.push(per_s);
        self.p50_ms.push(p50_ms);
        self.p99_ms.push(p99_ms);
        self.cpu_ms.push(cpu_ms);
    }

    /// The medians, in the order of the fields.
    fn medians(self) -> [f64; 4] {
        [self.per_s, self.p50_ms, self.p99_ms, self.cpu_ms].map(median)
    }
}

/// Runs it.
#[tokio::main]
pub async fn main() -> anyhow::Result<ExitCode> {
    let arguments = velum_bench::arguments::<Arguments>();
    let mut ground = Ground::of(arguments.hosts).await?;
    let peer = Placement::start(&arguments.openstack, arguments.hosts, ground.cloud.directory()).await?;
    let (mut ours, mut theirs) = (Rounds::default(), Rounds::default());
    // Whoever is asked first fills its caches.
    ground.one_by_one("warm", arguments.clients, 100).await?;
    peer.place(arguments.clients, arguments.clients as u64)?;
    for round in 0..arguments.rounds {
        let roots = [ground.cloud.velumd.id()];
        let before = processes::cpu_seconds(&roots)?;
        let seen = ground
            .one_by_one(&format!("r{round}"), arguments.clients, arguments.instances)
            .await?;
        let cpu = (processes::cpu_seconds(&roots)? - before) * 1000.0 / arguments.instances as f64;
        ours.add("velum", [seen.rate(), seen.at(0.5), seen.at(0.99), cpu]);
        let placed = peer.place(arguments.clients, arguments.placements)?;
        let figures = [placed.per_s, placed.p50_ms, placed.p99_ms, placed.cpu_ms];
        theirs.add("openstack placement", figures);
    }
    let expected = arguments.placements * arguments.rounds + arguments.clients as u64;
    let allocated = peer.allocated()?;
    drop(peer);
    let found = ground.recount().await?;
    let [rate, p50, p99, cpu] = ours.medians();
    let [their_rate, their_p50, their_p99, their_cpu] = theirs.medians();
    let report = Report::new("vs-openstack", rate / their_rate, "times", Aim::AtLeast(500.0))
        .with("hosts", arguments.hosts)
        .with("clients", arguments.clients)
        .with("per_s", rate)
        .with("p50_ms", p50)
        .with("p99_ms", p99)
        .with("server_cpu_ms_each", cpu)
        .with("openstack_per_s", their_rate)
        .with("openstack_p50_ms", their_p50)
        .with("openstack_p99_ms", their_p99)
        .with("openstack_server_cpu_ms_each", their_cpu)
        .with("openstack_cpu_over_ours", their_cpu / cpu)
        .with("openstack_settings", Placement::settings())
        .with("settings", "SQLite synchronous=FULL, operations held")
        .with("instances", ground.accepted)
        .require("server_cpu_at_most_1_to_500", their_cpu / cpu >= 500.0)
        .require("openstack_has_all_of_its_own", allocated == expected);
    Ok(found.told(report).print())
}
