//! `kill -9` of velumd, again and again, in the middle of operations, with the far side outliving it, on SQLite and on
//! PostgreSQL. A kill counts when the server that comes up next found operations to resume. After each: everything that was
//! acknowledged is there and came to an end, both sides agree, and the far side saw no violation. In the end one more, with
//! thousands in flight: the next server has all of them in hand again within ten seconds of its start.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use futures::{
    future::join_all,
    stream::{self, StreamExt},
};
use uuid::Uuid;
use velum_client::{Client, ClientError, Filter};
use velum_support::{Aim, Chance, CloudOptions, Postgres, Report, TestCloud, World, WorldOptions};
use velum_wire::{InstanceState, OperationState};

/// Kills velumd in the middle of operations.
#[derive(Debug, Parser)]
struct Arguments {
    /// What the server keeps its rows in.
    #[arg(long, value_enum, default_value_t = Databases::Both)]
    database: Databases,
    /// Kills that hit an operation in flight, on each database.
    #[arg(
        long,
        default_value_t = 100,
        default_value_if("release_size", "true", "10000")
    )]
    kills: u32,
    /// As many as before a release: 10,000 on each.
    #[arg(long)]
    release_size: bool,
    /// Requests under way when the kill comes.
    #[arg(long, default_value_t = 8)]
    requests: usize,
    /// Instances kept at most.
    #[arg(long, default_value_t = 24)]
    instances: usize,
    /// Operations in flight at the last kill, on each database; 0 leaves it out.
    #[arg(long, default_value_t = 10_000)]
    in_flight: usize,
    /// Wait for the end of all of these: some minutes for 10,000.
    #[arg(long)]
    to_the_end: bool,
    /// Where the chance begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Requests of the crowd under way at the same time.
const LANES: usize = 64;
/// The longest that a server may take from its start until everything that was in flight is in its hands again: held in
/// memory, driven when it is due, as many at a time as the engine drives.
const RESUMED_WITHIN: Duration = Duration::from_secs(10);
/// Some twenty a second on a slow machine.
const CROWD_ENDS_WITHIN: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Databases {
    Sqlite,
    Postgres,
    Both,
}

/// An acknowledged request: its operation, and what was asked.
#[derive(Clone, Debug)]
struct Acknowledged {
    operation: Uuid,
    verb: &'static str,
    instance: Uuid,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut tallies = Vec::new();
    if arguments.database != Databases::Postgres {
        let mut tally = kill(&arguments, String::new(), 80).await?;
        crowd(&arguments, String::new(), &mut tally).await?;
        tallies.push(("sqlite", tally));
    }
    if arguments.database != Databases::Sqlite {
        let postgres =
            Postgres::start()?.context("PostgreSQL 15 is not installed: apt-get install postgresql")?;
        let config = |name: &str| anyhow::Ok(format!("database = \"{}\"\n", postgres.create(name)?));
        // It accepts later.
        let mut tally = kill(&arguments, config("velum")?, 200).await?;
        crowd(&arguments, config("crowd")?, &mut tally).await?;
        tallies.push(("postgres", tally));
    }
    Ok(report(&arguments, &tallies).print())
}

/// Kills as often as is wanted, and takes everything down in the end.
/// A kill comes within `pause_ms` of the requests.
async fn kill(arguments: &Arguments, config: String, pause_ms: u64) -> anyhow::Result<Tally> {
    let options = CloudOptions {
        hosts: 8,
        latency_ms: 15,
        config,
        ..CloudOptions::default()
    };
    let mut cloud = TestCloud::start(&options).await?;
    let world = World::build(
        &cloud,
        &WorldOptions {
            hosts: 8,
            ..WorldOptions::default()
        },
    )
    .await?;
    let mut tally = Tally::default();
    let mut chance = Chance(arguments.seed);
    // A kill that hits nothing in flight does not count; six times the wanted number must be enough.
    for round in 0..arguments.kills * 6 {
        if tally.effective >= arguments.kills {
            break;
        }
        let pause = Duration::from_micros(chance.below(pause_ms * 1_000));
        one_kill(
            &mut cloud,
            &world,
            arguments,
            &mut chance,
            (round, pause),
            &mut tally,
        )
        .await
        .with_context(|| format!("kill {round} (seed {})", arguments.seed))?;
        if round % 20 == 19 {
            eprintln!(
                "{} kills, {} effective, {} acknowledged",
                round + 1,
                tally.effective,
                tally.acknowledged
            );
        }
    }
    let client = cloud.client()?;
    for instance in client.instances().all(&Filter::new()).await? {
        client
            .instances()
            .delete(instance.id)
            .await
            .context("the last destroy")?;
    }
    cloud.assert_nothing_left().await?;
    Ok(tally)
}

/// The violations on all databases, with the figures of each.
fn report(arguments: &Arguments, tallies: &[(&str, Tally)]) -> Report {
    let problems: Vec<String> = tallies
        .iter()
        .flat_map(|(database, tally)| tally.problems.iter().map(move |p| format!("{database}: {p}")))
        .collect();
    let mut report = Report::new("kill-loop", problems.len() as f64, "violations", Aim::AtMost(0.0))
        .with("seed", arguments.seed)
        .with("release_size", arguments.release_size)
        .with("problems", problems);
    for (database, tally) in tallies {
        report = report.with(
            database,
            serde_json::json!({
                "effective_kills": tally.effective, "kills": tally.kills, "acknowledged": tally.acknowledged,
                "resumed": tally.resumed, "slowest_recovery_ms": tally.slowest.as_millis() as u64,
                "crowd": tally.crowd.iter().map(Crowd::figures).collect::<Vec<_>>(),
            }),
        );
    }
    let all =
        |holds: fn(&Tally, &Arguments) -> bool| tallies.iter().all(|(_, tally)| holds(tally, arguments));
    report
        .require(
            "every_kill_counted",
            all(|tally, arguments| tally.effective >= arguments.kills),
        )
        .require(
            "resumed_within_10_s",
            all(|tally, _| tally.slowest <= RESUMED_WITHIN),
        )
        .require(
            "crowd_resumed_within_10_s",
            all(|tally, arguments| {
                let mut crowd = tally.crowd.iter();
                crowd.all(|crowd| crowd.in_flight >= arguments.in_flight && crowd.resumed <= RESUMED_WITHIN)
            }),
        )
}

#[derive(Default)]
struct Tally {
    kills: u32,
    effective: u32,
    acknowledged: usize,
    resumed: u64,
    slowest: Duration,
    crowd: Option<Crowd>,
    problems: Vec<String>,
}

/// What became of thousands in flight.
struct Crowd {
    /// How many the next server found.
    in_flight: usize,
    /// From its start until it had all of them in hand.
    resumed: Duration,
    /// From its start until it had driven each of them once: asked the far side how it stands, and recorded that.
    driven: Duration,
    /// From then, when the far side goes on, until all ended.
    ended: Option<Duration>,
}

impl Crowd {
    fn figures(&self) -> serde_json::Value {
        serde_json::json!({
            "in_flight": self.in_flight, "resumed_after_ms": self.resumed.as_millis() as u64,
            "driven_after_ms": self.driven.as_millis() as u64,
            "ended_after_ms": self.ended.map(|ended| ended.as_millis() as u64),
        })
    }
}

/// Waits until the log says something once more than before. Answers how long that took.
async fn says(cloud: &TestCloud, words: &str, before: usize, since: Instant) -> anyhow::Result<Duration> {
    while cloud.velumd.printed().matches(words).count() <= before {
        anyhow::ensure!(
            since.elapsed() < CROWD_ENDS_WITHIN,
            "the log never says {words:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(since.elapsed())
}

/// The far side holds what takes its time, until so many wait for it; then the server is killed and started again.
async fn crowd(arguments: &Arguments, config: String, tally: &mut Tally) -> anyhow::Result<()> {
    let in_flight = arguments.in_flight;
    if in_flight == 0 {
        return Ok(());
    }
    // 32 small ones fit on a compute host.
    let hosts = u32::try_from(in_flight.div_ceil(32))? + 4;
    let options = CloudOptions {
        hosts,
        config,
        ..CloudOptions::default()
    };
    let mut cloud = TestCloud::start(&options).await?;
    let zone = WorldOptions {
        hosts,
        ..WorldOptions::default()
    };
    let world = World::build(&cloud, &zone).await?;
    let client = cloud.client()?;
    // The pool has the template's layer from then on.
    let first = client.instances().create(&world.instance("first")).await?;
    client.wait(first.operation.context("an operation")?).await?;
    cloud.sim_post("/sim/hold", &serde_json::json!({})).await?;
    let acknowledged: Vec<Acknowledged> = stream::iter(0..in_flight)
        .map(|number| {
            let (client, world) = (&client, &world);
            async move { ask(client, world, format!("c{number}"), None, true, 0).await }
        })
        .buffer_unordered(LANES)
        .filter_map(std::future::ready)
        .collect()
        .await;
    anyhow::ensure!(
        acknowledged.len() == in_flight,
        "{} of {in_flight} were accepted",
        acknowledged.len()
    );
    cloud.kill();
    let starts = cloud.velumd.printed().matches("resuming operations").count();
    let began = Instant::now();
    cloud.respawn()?;
    let resumed = says(&cloud, "resuming operations", starts, began).await?;
    let found = self::resumed(&cloud.velumd.printed());
    let driven = says(&cloud, "resumed all operations", 0, began).await?;
    cloud.wait_ready().await?;
    let mut crowd = Crowd {
        in_flight: usize::try_from(found)?,
        resumed,
        driven,
        ended: None,
    };
    if arguments.to_the_end {
        let began = Instant::now();
        cloud.sim_delete("/sim/hold").await?;
        cloud.run_until_idle(CROWD_ENDS_WITHIN).await?;
        crowd.ended = Some(began.elapsed());
    }
    eprintln!("a crowd: {}", crowd.figures());
    let has_ended = crowd.ended.is_some();
    tally.crowd = Some(crowd);
    if !has_ended {
        return Ok(());
    }
    tally.acknowledged += acknowledged.len();
    check(&cloud, &acknowledged, &mut tally.problems).await
}

async fn one_kill(
    cloud: &mut TestCloud,
    world: &World,
    arguments: &Arguments,
    chance: &mut Chance,
    (round, pause): (u32, Duration),
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let client = cloud.client()?;
    let known = client.instances().all(&Filter::new()).await?;
    let mut asks = Vec::new();
    for number in 0..arguments.requests {
        let at = chance.below(known.len().max(1) as u64) as usize;
        let target = known.get(at).map(|i| (i.id, i.state));
        let room = known.len() + number < arguments.instances;
        asks.push(ask(
            &client,
            world,
            format!("k{round}-{number}"),
            target,
            room,
            chance.below(4),
        ));
    }
    let asked = join_all(asks);
    tokio::pin!(asked);
    let mut answers = Vec::new();
    tokio::select! {
        all = &mut asked => {
            answers = all;
            tokio::time::sleep(pause).await;
        }
        () = tokio::time::sleep(pause + Duration::from_millis(10)) => {}
    }
    cloud.kill();
    tally.kills += 1;
    // What was not answered may or may not have been accepted; only answers are promises.
    let acknowledged: Vec<Acknowledged> = answers.into_iter().flatten().collect();
    tally.acknowledged += acknowledged.len();
    cloud.restart().await?;
    let began = Instant::now();
    let waiting = resumed(&cloud.velumd.printed());
    tally.resumed += waiting;
    tally.effective += u32::from(waiting > 0);
    cloud.run_until_idle(Duration::from_secs(60)).await?;
    tally.slowest = tally.slowest.max(began.elapsed());
    check(cloud, &acknowledged, &mut tally.problems).await
}

/// One request of a kind that the instance's state allows, or the creation of another.
async fn ask(
    client: &Client,
    world: &World,
    name: String,
    target: Option<(Uuid, InstanceState)>,
    room: bool,
    choice: u64,
) -> Option<Acknowledged> {
    let (verb, instance, operation) = match target {
        Some((id, InstanceState::Running)) if !room || choice == 0 => match choice % 3 {
            0 => ("stop", id, client.instances().stop(id).await.ok()?.operation?),
            1 => ("reboot", id, client.instances().reboot(id).await.ok()?.operation?),
            _ => ("destroy", id, client.instances().delete(id).await.ok()??),
        },
        Some((id, InstanceState::Stopped)) if choice < 3 => {
            ("start", id, client.instances().start(id).await.ok()?.operation?)
        }
        Some((id, _)) if !room => ("destroy", id, client.instances().delete(id).await.ok()??),
        _ => {
            let made = client.instances().create(&world.instance(&name)).await.ok()?;
            ("create", made.value.id, made.operation?)
        }
    };
    Some(Acknowledged {
        operation,
        verb,
        instance,
    })
}

/// How many operations the newest server found when it came up, as its log says.
fn resumed(log: &str) -> u64 {
    let line = log
        .lines()
        .rev()
        .find(|line| line.contains("resuming operations"));
    line.and_then(|l| {
        l.split("waiting=")
            .nth(1)?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    })
    .unwrap_or_default()
}

/// Every acknowledged operation is on record and ended well, every instance is as its operations left it, and the far
/// side has just the runs of the running ones.
async fn check(
    cloud: &TestCloud,
    acknowledged: &[Acknowledged],
    problems: &mut Vec<String>,
) -> anyhow::Result<()> {
    let client = cloud.client()?;
    for ack in acknowledged {
        match client.operations().get(ack.operation).await {
            Ok(operation) if operation.state == OperationState::Done => {}
            // A destroy in the same round may have cancelled it: then it is undone, and the instance gone.
            Ok(operation) if operation.state == OperationState::Undone && ack.verb != "destroy" => {
                if !matches!(client.instances().get(ack.instance).await, Err(ClientError::Problem(p)) if p.status == 404)
                {
                    problems.push(format!("{ack:?} was undone: {:?}", operation.error));
                }
            }
            Ok(operation) => problems.push(format!(
                "{ack:?} ended as {:?}: {:?}",
                operation.state, operation.error
            )),
            Err(error) => problems.push(format!("{ack:?} was acknowledged and is lost: {error}")),
        }
    }
    problems.extend(cloud.differences().await?);
    anyhow::ensure!(problems.is_empty(), "{problems:#?}");
    Ok(())
}
