//! Components that misbehave, let loose on a serving server one after another: it stays up, others do not feel it, nothing is
//! left behind, and each comes out as its folder in `tests/guests/hostile` says.

#[path = "../../../../host/runtime/tests/runtime/guests.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with the runtime's own tests, which use all of it"
)]
mod guests;

#[path = "hostile/bystanders.rs"]
mod bystanders;
#[path = "hostile/case.rs"]
mod case;
#[path = "hostile/generated.rs"]
mod generated;
#[path = "hostile/lies.rs"]
mod lies;
#[path = "hostile/life.rs"]
mod life;
#[path = "hostile/make.rs"]
mod make;
#[path = "hostile/play.rs"]
mod play;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use velum_support::{Aim, CloudOptions, Report, TestCloud, World, WorldOptions};

use crate::{
    bystanders::{Bystanders, Seen},
    generated::Generated,
    lies::{Lies, Scene},
    play::{Stage, plugin_processes},
};

/// Lets misbehaving components loose on a server.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only cases whose names contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// Generated components of each kind.
    #[arg(long, default_value_t = 60)]
    generated: u64,
    /// Writes what came of each lie to `outcomes.toml` beside the flawed components, instead of comparing it.
    #[arg(long)]
    write_outcomes: bool,
    /// Where the cases are.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/hostile"))]
    cases: PathBuf,
}

/// How long bystanders are watched before anything hostile happens.
const BEFORE: Duration = Duration::from_secs(8);
/// What the server's memory may have grown by at the end: allocator's arenas and caches, not what was let loose.
const GROWTH_MIB: u64 = 96;
const PATIENCE: Duration = Duration::from_secs(120);
/// What the components do is looked at here, not whose word they are.
const FROM_NOBODY: &str = "[plugins]\nunsigned = \"allow\"\n";
/// Where the flawed components are.
const GUESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests");

/// What was seen while hostile components were let loose.
#[derive(Default)]
struct Played {
    cases: u64,
    failed: Vec<serde_json::Value>,
    others: Seen,
    slowest: (Duration, String),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let options = CloudOptions {
        hosts: 120,
        zones: 2,
        config: format!("{FROM_NOBODY}{}", lies::HASTE),
        ..CloudOptions::default()
    };
    let cloud = TestCloud::start(&options).await?;
    let hostile = World::build(
        &cloud,
        &WorldOptions {
            hosts: 20,
            ..WorldOptions::default()
        },
    )
    .await?;
    let quiet = Arc::new(World::build(&cloud, &elsewhere()).await?);
    let stage = Stage {
        cloud: &cloud,
        client: cloud.client()?,
        world: &hostile,
    };
    let bystanders = Bystanders::begin(&cloud.client()?, &quiet);
    tokio::time::sleep(BEFORE).await;
    let before = bystanders.seen();
    let sizes = Sizes::of(&cloud)?;
    let mut played = play_all(&stage, &arguments, &bystanders).await?;
    let generated = generated::let_loose(&stage, arguments.generated).await?;
    let lies = Scene {
        client: &stage.client,
        images: &cloud.sim_url,
        guests: PathBuf::from(GUESTS),
        only: &arguments.only,
        is_writing: arguments.write_outcomes,
    }
    .play()
    .await?;
    played.others.add(bystanders.seen());
    bystanders.end().await;

    let cleared = stage.clear().await?;
    cloud.run_until_idle(PATIENCE).await?;
    eprintln!("{cleared} instances of hostile policies removed");
    let after = Sizes::of(&cloud)?;
    let report = told(&before, &played, &generated, &lies);
    Ok(report
        .with("memory_before_mib", sizes.memory >> 20)
        .with("memory_after_mib", after.memory >> 20)
        .require(
            "memory_returned",
            after.memory <= sizes.memory + (GROWTH_MIB << 20),
        )
        .require(
            "processes_returned",
            after.processes <= sizes.processes + lies.processes,
        )
        .require("no_violations", cloud.violations().await?.is_empty())
        .require("the_log_is_clean", !cloud.velumd.printed().contains('\u{1b}'))
        .print())
}

/// What a server takes.
struct Sizes {
    memory: u64,
    processes: usize,
}

impl Sizes {
    fn of(cloud: &TestCloud) -> anyhow::Result<Self> {
        Ok(Self {
            memory: cloud.velumd.resident_bytes()?,
            processes: plugin_processes(cloud.velumd.id())?.len(),
        })
    }
}

/// How the cases came out, and what others felt of them.
fn told(before: &Seen, played: &Played, generated: &Generated, lies: &Lies) -> Report {
    let bound = (before.p99() * 2).max(before.p99() + Duration::from_millis(20));
    let others = &played.others;
    let first_failures: Vec<String> = others.failed.iter().take(3).cloned().collect();
    let failures = (played.failed.len() + generated.failed.len() + lies.failed.len()) as f64;
    Report::new("hostile", failures, "failed cases", Aim::AtMost(0.0))
        .with("cases", played.cases)
        .with("generated", generated.played)
        .with("generated_taken", generated.taken)
        .with("lies", lies.played)
        .with("lies_that_made_a_difference", lies.noticed)
        .with("failed", played.failed.clone())
        .with("lies_failed", lies.failed.clone())
        .with("generated_failed", generated.failed.clone())
        .with("p99_before_ms", millis(before.p99()))
        .with("p99_during_ms", millis(others.p99()))
        .with("p99_bound_ms", millis(bound))
        .with("slowest_case", played.slowest.1.clone())
        .with("slowest_case_ms", millis(played.slowest.0))
        .with("requests_of_others", others.took.len())
        .with("failures_of_others", first_failures)
        .require("others_did_not_feel_it", others.p99() <= bound)
        .require("no_request_of_others_failed", others.failed.is_empty())
}

/// The zone of the bystanders.
fn elsewhere() -> WorldOptions {
    WorldOptions {
        zone: 2,
        hosts: 60,
        addresses: ("10.2.0.10".into(), "10.2.255.250".into()),
        ..WorldOptions::default()
    }
}

async fn play_all(
    stage: &Stage<'_>,
    arguments: &Arguments,
    bystanders: &Bystanders,
) -> anyhow::Result<Played> {
    let mut played = Played::default();
    for case in case::all(&arguments.cases)? {
        if !case.name.contains(&arguments.only) {
            continue;
        }
        let result = stage.play(&case).await;
        let seen = bystanders.seen();
        let p99 = seen.p99();
        played.others.add(seen);
        played.cases += 1;
        if p99 > played.slowest.0 {
            played.slowest = (p99, case.name.clone());
        }
        match result {
            Ok(()) => eprintln!("{}: {} (others: p99 {:.1} ms)", case.name, case.what, millis(p99)),
            Err(error) => {
                eprintln!("{}: FAILED: {error:#}", case.name);
                played
                    .failed
                    .push(serde_json::json!({ "case": case.name, "why": format!("{error:#}") }));
            }
        }
    }
    Ok(played)
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
