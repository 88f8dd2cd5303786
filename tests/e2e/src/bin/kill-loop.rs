//! `kill -9` of velumd, again and again, in the middle of operations, with the far side outliving it. A kill counts when
//! the server that comes up next found operations to resume. After each: everything that was acknowledged is there and
//! came to an end, both sides agree, and the far side saw no violation.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
use futures::future::join_all;
use uuid::Uuid;
use velum_client::{Client, ClientError, Filter};
use velum_support::{Aim, Chance, CloudOptions, Report, TestCloud, World, WorldOptions};
use velum_wire::{InstanceState, OperationState};

/// Kills velumd in the middle of operations.
#[derive(Debug, Parser)]
struct Arguments {
    /// Kills that hit an operation in flight.
    #[arg(long, default_value_t = 200)]
    kills: u32,
    /// Requests under way when the kill comes.
    #[arg(long, default_value_t = 8)]
    requests: usize,
    /// Instances kept at most.
    #[arg(long, default_value_t = 24)]
    instances: usize,
    /// Where the chance begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
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
    let options = CloudOptions {
        hosts: 8,
        latency_ms: 15,
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
    // A kill that hits nothing in flight does not count; thrice the wanted number must be enough.
    for round in 0..arguments.kills * 3 {
        if tally.effective >= arguments.kills {
            break;
        }
        one_kill(&mut cloud, &world, &arguments, &mut chance, round, &mut tally)
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
    Ok(Report::new(
        "kill-loop",
        tally.problems.len() as f64,
        "violations",
        Aim::AtMost(0.0),
    )
    .with("effective_kills", tally.effective)
    .with("kills", tally.kills)
    .with("acknowledged", tally.acknowledged)
    .with("resumed", tally.resumed)
    .with("slowest_recovery_ms", tally.slowest.as_millis() as u64)
    .with("seed", arguments.seed)
    .with("problems", tally.problems.clone())
    .require("every_kill_counted", tally.effective >= arguments.kills)
    .require("resumed_within_10_s", tally.slowest <= Duration::from_secs(10))
    .print())
}

#[derive(Default)]
struct Tally {
    kills: u32,
    effective: u32,
    acknowledged: usize,
    resumed: u64,
    slowest: Duration,
    problems: Vec<String>,
}

async fn one_kill(
    cloud: &mut TestCloud,
    world: &World,
    arguments: &Arguments,
    chance: &mut Chance,
    round: u32,
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
    let pause = Duration::from_micros(chance.below(80_000));
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
    let instances = client.instances().all(&Filter::new()).await?;
    let audit = cloud.sim_get("/sim/audit").await?;
    let mut runs: BTreeMap<String, u32> = BTreeMap::new();
    for run in audit
        .get("runs")
        .and_then(|r| r.as_array())
        .context("the audit has no runs")?
    {
        let id = run
            .get("run")
            .and_then(|v| v.as_str())
            .context("a run has no id")?;
        *runs.entry(id.to_owned()).or_default() += 1;
    }
    for instance in &instances {
        let run = instance.run.as_ref().map(|r| r.id.to_string());
        match (instance.state, run) {
            (InstanceState::Running, Some(run)) if runs.remove(&run) == Some(1) => {}
            (InstanceState::Stopped, None) => {}
            (state, run) => problems.push(format!(
                "{} is {state:?} with run {run:?}, which the far side has not",
                instance.name
            )),
        }
    }
    problems.extend(
        runs.keys()
            .map(|run| format!("the far side has run {run}, which nobody owns")),
    );
    problems.extend(
        cloud
            .violations()
            .await?
            .iter()
            .map(|v| format!("violation: {v}")),
    );
    anyhow::ensure!(problems.is_empty(), "{problems:#?}");
    Ok(())
}
