//! A server is stopped (SIGSTOP) while an effect of its is on the way; a second one takes its shards over under the next
//! epoch and finishes the work; then the effect arrives and the first server wakes up. The gate of the far side refuses
//! the effect, the database the commits, and one guest runs.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;
use serde_json::{Value, json};
use velum_client::Client;
use velum_support::{Aim, CloudOptions, Report, TestCloud, World, WorldOptions, destroy_all};
use velum_wire::InstanceState;

/// Freezes a server with an effect on the way and lets another take over.
#[derive(Debug, Parser)]
struct Arguments {
    /// Takeovers, each on a cloud of its own.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

/// How long the far side holds the effect back: longer than a lease and the start of a server, shorter than the
/// deadline of a call.
const HELD_MS: u64 = 8_000;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut problems: Vec<String> = Vec::new();
    let mut refused = 0;
    for verb in ["start", "publish", "ensure"]
        .into_iter()
        .cycle()
        .take(arguments.rounds as usize)
    {
        let found = takeover(verb)
            .await
            .with_context(|| format!("takeover during {verb}"))?;
        eprintln!(
            "{verb}: the late effect was refused {} times, problems: {:?}",
            found.refused, found.problems
        );
        refused += u64::from(found.refused > 0);
        problems.extend(found.problems);
    }
    Ok(
        Report::new("takeover", problems.len() as f64, "violations", Aim::AtMost(0.0))
            .with("rounds", arguments.rounds)
            .with("late_effects_refused", refused)
            .with("problems", problems)
            .require(
                "every_late_effect_was_refused",
                refused == u64::from(arguments.rounds),
            )
            .print(),
    )
}

struct Found {
    refused: u64,
    problems: Vec<String>,
}

async fn takeover(verb: &str) -> anyhow::Result<Found> {
    let options = CloudOptions {
        hosts: 2,
        config: "[lease]\nms = 1500\n".into(),
        ..CloudOptions::default()
    };
    let mut cloud = TestCloud::start(&options).await?;
    let world = World::build(
        &cloud,
        &WorldOptions {
            hosts: 2,
            ..WorldOptions::default()
        },
    )
    .await?;
    let fault = json!({ "kind": "delay", "verb": verb, "when": "before", "delay_ms": HELD_MS });
    let fault = cloud.sim_post("/sim/faults", &fault).await?;
    let id = fault
        .get("id")
        .and_then(Value::as_u64)
        .context("the far side armed no fault")?;
    let token = cloud.token()?;
    let made = cloud
        .client()?
        .instances()
        .create(&world.instance("frozen"))
        .await?;
    let hit = cloud.sim_get(&format!("/sim/faults/{id}?wait_ms=10000")).await?;
    anyhow::ensure!(
        hit.get("hits").and_then(Value::as_u64) == Some(1),
        "the effect never came: {hit}"
    );
    cloud.velumd.freeze()?;

    let (mut second, url) = cloud.take_over().await?;
    let client = Client::new(&url, Some(&token))?;
    let operation = made.operation.context("the creation takes time")?;
    let outcome = client.wait(operation).await?;
    let mut problems = Vec::new();
    if !outcome.is_done() {
        problems.push(format!("the second server did not finish: {:?}", outcome.view()));
    }
    // The held effect acts, or is refused, within this time; then the first server wakes up.
    tokio::time::sleep(Duration::from_millis(HELD_MS)).await;
    cloud.velumd.thaw()?;
    let ended = cloud
        .velumd
        .wait(Duration::from_secs(20))
        .context("the first server goes on")?;
    if ended.success() {
        problems.push("the first server ended as if nothing had happened".into());
    }
    let instance = client.instances().get(made.value.id).await?;
    let audit = cloud.sim_get("/sim/audit").await?;
    let runs = audit.get("runs").and_then(Value::as_array).map_or(0, Vec::len);
    if instance.state != InstanceState::Running || runs != 1 {
        problems.push(format!(
            "the instance is {:?} and the far side has {runs} runs",
            instance.state
        ));
    }
    problems.extend(cloud.violations().await?.iter().map(ToString::to_string));
    let stats = cloud.sim_get("/sim/stats").await?;
    let refused = stats
        .pointer("/refusals/7")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    destroy_all(&client).await?;
    cloud.assert_far_side_empty().await?;
    second.stop(Duration::from_secs(20))?;
    Ok(Found { refused, problems })
}
