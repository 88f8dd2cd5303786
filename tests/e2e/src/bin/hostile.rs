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
#[path = "hostile/make.rs"]
mod make;
#[path = "hostile/play.rs"]
mod play;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use velum_support::{Aim, CloudOptions, Report, TestCloud, World, WorldOptions};

use crate::{
    bystanders::{Bystanders, Seen},
    lies::Scene,
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
    let pid = cloud.velumd.id();
    let bystanders = Bystanders::begin(&cloud.client()?, &quiet);
    tokio::time::sleep(BEFORE).await;
    let before = bystanders.seen();
    let (memory_before, processes_before) = (cloud.velumd.resident_bytes()?, plugin_processes(pid)?.len());
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
    let violations = cloud.violations().await?;
    let (memory_after, processes_after) = (cloud.velumd.resident_bytes()?, plugin_processes(pid)?.len());
    let bound = (before.p99() * 2).max(before.p99() + Duration::from_millis(20));
    let (slowest, slowest_case) = played.slowest;
    eprintln!(
        "{cleared} instances of hostile policies removed; slowest case for others: {slowest_case} ({:.1} ms)",
        millis(slowest)
    );
    let failures = (played.failed.len() + generated.failed.len() + lies.failed.len()) as f64;
    Ok(Report::new("hostile", failures, "failed cases", Aim::AtMost(0.0))
        .with("cases", played.cases)
        .with("generated", generated.played)
        .with("generated_taken", generated.taken)
        .with("lies", lies.played)
        .with("lies_that_made_a_difference", lies.noticed)
        .with("failed", played.failed)
        .with("lies_failed", lies.failed)
        .with("generated_failed", generated.failed)
        .with("p99_before_ms", millis(before.p99()))
        .with("p99_during_ms", millis(played.others.p99()))
        .with("p99_bound_ms", millis(bound))
        .with("slowest_case", slowest_case)
        .with("requests_of_others", played.others.took.len())
        .with("memory_before_mib", memory_before >> 20)
        .with("memory_after_mib", memory_after >> 20)
        .require("others_did_not_feel_it", played.others.p99() <= bound)
        .with(
            "failures_of_others",
            played.others.failed.iter().take(3).cloned().collect::<Vec<_>>(),
        )
        .require("no_request_of_others_failed", played.others.failed.is_empty())
        .require(
            "memory_returned",
            memory_after <= memory_before + (GROWTH_MIB << 20),
        )
        .require(
            "processes_returned",
            processes_after <= processes_before + lies.processes,
        )
        .require("no_violations", violations.is_empty())
        .require("the_log_is_clean", !cloud.velumd.printed().contains('\u{1b}'))
        .print())
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
