//! Instances a second from accept to running on the simulated far side, 5,000 compute hosts, over a minute, with the default
//! configuration: accepts, operations, looks at compute hosts all at once. Clients ask as long as not too many are still on their way,
//! so that what is counted is what the server drives and not what it puts off. Each round has a zone of its own: it begins without
//! instances.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Parser;
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};
use velum_bench::{
    accepts::{Ground, GroundOptions, Pace, Recount, batch_of},
    clients::median,
    processes,
};
use velum_client::Filter;
use velum_support::{Aim, Report};
use velum_wire::InstanceState;

/// Instances a second from accept to running.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    /// Compute hosts of the zone.
    #[arg(long, default_value_t = 5000)]
    hosts: u32,
    /// Seconds that are counted, of each round.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seconds before, until the queue is as long as it is going to be.
    #[arg(long, default_value_t = 5)]
    before: u64,
    /// Instances of a batch.
    #[arg(long, default_value_t = 32)]
    batch: u64,
    /// Clients.
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Instances accepted and not yet running at most: some more than the 256 operations that are driven at a time, and what
    /// starts between two looks.
    #[arg(long, default_value_t = 2048)]
    ahead: u64,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
}

/// Milliseconds between two looks at how many run.
const LOOK_MS: u64 = 200;
/// The most that starts in a second, for the addresses.
const AT_MOST: u64 = 5000;
/// What the queue may take to empty after a round.
const IDLE_WITHIN: Duration = Duration::from_secs(300);

/// What the clients know of the far side.
#[derive(Clone, Copy, Debug)]
struct Far {
    running: u64,
    is_over: bool,
}

/// What a round gave.
#[derive(Clone, Copy, Debug)]
struct Round {
    per_s: f64,
    /// Operations that had not ended, in the middle and at the end.
    unfinished: (usize, usize),
    cpu_us: f64,
}

/// Runs it.
#[tokio::main]
pub async fn main() -> anyhow::Result<ExitCode> {
    let arguments = velum_bench::arguments::<Arguments>();
    let (mut rounds, mut all) = (Vec::new(), All::default());
    for number in 0..arguments.rounds {
        let round = all.add(&arguments).await?;
        eprintln!(
            "round {}: {:.0} instances/s, {} operations unfinished in the middle and {} at the end, {:.0} us of the server's CPU each",
            number + 1,
            round.per_s,
            round.unfinished.0,
            round.unfinished.1,
            round.cpu_us
        );
        rounds.push(round);
    }
    let grows = |round: &Round| {
        // What the clients have under way comes and goes in whole batches.
        let waves = arguments.batch as usize * arguments.clients;
        round.unfinished.1 > round.unfinished.0 + round.unfinished.0 / 10 + waves
    };
    let is_steady = !rounds.iter().any(grows);
    let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    let report = Report::new("sustained", of(|r| r.per_s), "instances/s", Aim::AtLeast(1000.0))
        .with("hosts", arguments.hosts)
        .with("seconds", arguments.seconds)
        .with("clients", arguments.clients)
        .with("batch", arguments.batch)
        .with("ahead_at_most", arguments.ahead)
        .with("unfinished_in_the_middle", of(|r| r.unfinished.0 as f64))
        .with("unfinished_at_the_end", of(|r| r.unfinished.1 as f64))
        .with("server_cpu_us_each", of(|r| r.cpu_us))
        .with("instances", all.instances)
        .with("rss_mib", all.rss_bytes >> 20)
        .require("queue_does_not_grow", is_steady)
        .require("all_run", all.all_run);
    let found = all.found.context("there was a round")?;
    Ok(found.told(report).print())
}

/// What was found in all rounds.
struct All {
    instances: u64,
    /// The most of a round.
    rss_bytes: u64,
    all_run: bool,
    found: Option<Recount>,
}

impl Default for All {
    fn default() -> Self {
        Self {
            instances: 0,
            rss_bytes: 0,
            all_run: true,
            found: None,
        }
    }
}

impl All {
    /// One more round, in a zone of its own.
    async fn add(&mut self, arguments: &Arguments) -> anyhow::Result<Round> {
        let options = GroundOptions {
            hosts: arguments.hosts,
            // Room for all of them, however fast it goes.
            sim: ["--vcpus", "256"].map(String::from).into(),
            pace: Pace::Usual,
            ..GroundOptions::default()
        };
        let mut ground = Ground::with(options).await?;
        let seconds = arguments.before + arguments.seconds;
        ground.widen(seconds * AT_MOST).await?;
        let round = sustain(&mut ground, arguments).await?;
        ground.cloud.run_until_idle(IDLE_WITHIN).await?;
        let made = ground.cloud.client()?.instances().all(&Filter::new()).await?;
        self.all_run &= made
            .iter()
            .all(|instance| instance.state == InstanceState::Running);
        self.instances += ground.accepted;
        self.rss_bytes = self.rss_bytes.max(ground.cloud.velumd.resident_bytes()?);
        let found = ground.recount().await?;
        self.found = Some(match self.found.take() {
            Some(before) => before.and(found),
            None => found,
        });
        Ok(round)
    }
}

/// One round: clients ask all the time, and what runs is counted over the window.
async fn sustain(ground: &mut Ground, arguments: &Arguments) -> anyhow::Result<Round> {
    let first = Far {
        running: running(ground).await?,
        is_over: false,
    };
    let (far, watched) = watch::channel(first);
    let accepted = Arc::new(AtomicU64::new(ground.accepted));
    let clients: Vec<_> = (0..arguments.clients)
        .map(|client| {
            let named = format!("c{client}");
            ask(ground, arguments, named, (Arc::clone(&accepted), watched.clone()))
        })
        .collect::<Result<_, _>>()?;
    look(ground, &far, Duration::from_secs(arguments.before)).await?;
    let roots = [ground.cloud.velumd.id()];
    let cpu = processes::cpu_seconds(&roots)?;
    let (began, before) = (Instant::now(), far.borrow().running);
    let half = Duration::from_secs(arguments.seconds) / 2;
    look(ground, &far, half).await?;
    let middle = unfinished(ground).await?;
    look(ground, &far, (half * 2).saturating_sub(began.elapsed())).await?;
    let (took, ran) = (began.elapsed(), far.borrow().running - before);
    let cpu = processes::cpu_seconds(&roots)? - cpu;
    let end = unfinished(ground).await?;
    far.send_modify(|far| far.is_over = true);
    for client in clients {
        client.await??;
    }
    ground.accepted = accepted.load(Ordering::Relaxed);
    Ok(Round {
        per_s: ran as f64 / took.as_secs_f64(),
        unfinished: (middle, end),
        cpu_us: cpu * 1e6 / ran.max(1) as f64,
    })
}

/// One client, until it is told that it is over.
fn ask(
    ground: &Ground,
    arguments: &Arguments,
    named: String,
    (accepted, mut far): (Arc<AtomicU64>, watch::Receiver<Far>),
) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    let client = ground.cloud.client()?;
    let (world, batch, ahead) = (ground.world.clone(), arguments.batch, arguments.ahead);
    Ok(tokio::spawn(async move {
        for number in 0_u64.. {
            let may_ask = |far: &Far| far.is_over || accepted.load(Ordering::Relaxed) < far.running + ahead;
            if far.wait_for(may_ask).await?.is_over {
                break;
            }
            let body = batch_of(&world, &format!("{named}-{number}"), batch);
            let made = client.instances().create_batch(&body).await?;
            anyhow::ensure!(u64::from(made.accepted) == batch, "{} were refused", made.refused);
            accepted.fetch_add(batch, Ordering::Relaxed);
        }
        Ok(())
    }))
}

/// Tells the clients how many run, now and then, for so long, and once more at its end.
async fn look(ground: &Ground, far: &watch::Sender<Far>, during: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + during;
    let mut ticks = tokio::time::interval(Duration::from_millis(LOOK_MS));
    while Instant::now() < until {
        ticks.tick().await;
        let running = running(ground).await?;
        far.send_modify(|far| far.running = running);
    }
    Ok(())
}

/// Guests that run at the far side.
async fn running(ground: &Ground) -> anyhow::Result<u64> {
    let stats = ground.cloud.sim_get("/sim/stats").await?;
    let running = stats.get("running").and_then(Value::as_u64);
    running.context("the far side does not tell how many run")
}

/// Operations that go on.
async fn unfinished(ground: &Ground) -> anyhow::Result<usize> {
    let running = Filter::new().with("state", "running");
    Ok(ground.cloud.client()?.operations().all(&running).await?.len())
}
