//! What the sandbox costs: the policy that `velum plugin new` writes as a component against the same source as native code, one
//! decision at a time over 5,000 compute hosts; and beside it what installing, instantiating, swapping and a process of its
//! own cost.

mod swap;

/// What `velum plugin new` writes.
#[path = "../../../../../sdk/skeletons/placement-policy-rust/src/lib.rs"]
mod skeleton;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Context as _;
use clap::Parser;
use velum_bench::{
    clients::median,
    decision,
    native::Native,
    sandbox::{self, Built},
};
use velum_model::port::plugins::Plugins as _;
use velum_support::{Aim, Report};

/// What the sandbox costs.
#[derive(Debug, Parser)]
struct Arguments {
    /// Compute hosts of the zone.
    #[arg(long, default_value_t = 5000)]
    hosts: u32,
    /// Decisions of one round.
    #[arg(long, default_value_t = 300)]
    decisions: u32,
    /// Rounds of both kinds, in turns; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// The skeleton's component, as `velum plugin build` made it; its plugin.toml lies beside it.
    #[arg(long, env = "VELUM_SKELETON")]
    skeleton: PathBuf,
    /// Programs of this build.
    #[arg(long, env = "VELUM_BIN")]
    programs: PathBuf,
    /// Components of this build.
    #[arg(long, env = "VELUM_PLUGINS")]
    plugins: PathBuf,
}

/// Microseconds of a decision, Wasm and native, in turns; both must decide the same.
async fn decisions(arguments: &Arguments, built: &Built) -> anyhow::Result<(f64, f64, f64, f64)> {
    let directory = tempfile::tempdir()?;
    let component = std::fs::read(&arguments.skeleton)
        .with_context(|| format!("{} was not built", arguments.skeleton.display()))?;
    let manifest = std::fs::read_to_string(arguments.skeleton.with_file_name("plugin.toml"))?;
    let runtime = built.runtime(directory.path(), false)?;
    let began = Instant::now();
    let inspected = runtime.install(component, Some(manifest)).await?;
    let install_s = began.elapsed().as_secs_f64();
    let (mut wasm, mut native) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let policy = runtime.policy(&inspected.digest, &serde_json::json!({}))?;
        let (micros, by_wasm) =
            decision::decide(&mut decision::zone(arguments.hosts)?, policy, arguments.decisions)?;
        wasm.push(micros);
        let policy = Box::new(Native::<skeleton::Coolest>::new()?);
        let (micros, by_native) =
            decision::decide(&mut decision::zone(arguments.hosts)?, policy, arguments.decisions)?;
        native.push(micros);
        anyhow::ensure!(
            by_wasm == by_native,
            "the component and the native code decide differently"
        );
    }
    let instance = sandbox::instance_micros(&runtime, &inspected.digest, 500)?;
    Ok((median(wasm), median(native), instance, install_s))
}

/// Microseconds of a driver's call in a process of its own and in this one, in turns.
async fn processes(rounds: u32, built: &Built) -> anyhow::Result<(f64, f64)> {
    let directory = tempfile::tempdir()?;
    let apart = built.runtime(&directory.path().join("apart"), false)?;
    let here = built.runtime(&directory.path().join("here"), true)?;
    let (mut apart_us, mut here_us) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        apart_us.push(sandbox::describe_micros(&apart, built, 500).await?);
        here_us.push(sandbox::describe_micros(&here, built, 500).await?);
    }
    Ok((median(apart_us), median(here_us)))
}

/// Runs it.
#[tokio::main]
pub async fn main() -> anyhow::Result<ExitCode> {
    let arguments = velum_bench::arguments::<Arguments>();
    let hosts = arguments.hosts;
    let built = Built {
        programs: arguments.programs.clone(),
        plugins: arguments.plugins.clone(),
    };
    let (wasm, native, instance, install_s) = decisions(&arguments, &built).await?;
    eprintln!(
        "one decision over {} hosts: {wasm:.1} us as Wasm, {native:.1} us native",
        arguments.hosts
    );
    eprintln!("a fresh instance: {instance:.1} us; installing the skeleton: {install_s:.2} s");
    // As the server makes it: from a task among others, whose thread takes up the answer.
    let apart = tokio::spawn(async move { processes(arguments.rounds, &built).await });
    let (apart, here) = apart.await??;
    eprintln!("a driver's call: {apart:.1} us through its process, {here:.1} us without");
    let swapped = swap::swap(20).await?;
    eprintln!(
        "a swap: {:.1} ms (slowest {:.1} ms), {} requests beside it, {} failed",
        swapped.millis.0, swapped.millis.1, swapped.requests, swapped.failed
    );
    Ok(
        Report::new("plugins", wasm / native, "Wasm : native", Aim::AtMost(1.2))
            .with("hosts", hosts)
            .with("decision_wasm_us", wasm)
            .with("decision_native_us", native)
            .with("instance_us", instance)
            .with("install_s", install_s)
            .with("driver_apart_us", apart)
            .with("driver_here_us", here)
            .with("swap_ms", swapped.millis.0)
            .with("swap_slowest_ms", swapped.millis.1)
            .with("requests", swapped.requests)
            .with("failed_requests", swapped.failed)
            .require("instance_within_50_us", instance <= 50.0)
            .require("install_within_2_s", install_s <= 2.0)
            .require("driver_within_100_us", apart - here <= 100.0)
            .require("swap_within_60_ms", swapped.millis.0 <= 60.0)
            .require("no_request_failed", swapped.failed == 0)
            .print(),
    )
}
