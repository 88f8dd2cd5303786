//! What the sandbox costs a policy: best-fit as a component against the same source as native code. One whole decision (filters,
//! rank, choose; no HTTP, no database) over 5,000 compute hosts, and `rank` alone over 200 and 100,000. Beside it what a decision
//! costs that finds what was kept of those before, which is what a server makes.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use velum_bench::{clients::median, decision, native::Native, sandbox::Built};
use velum_model::port::plugins::Plugins as _;
use velum_support::{Aim, Report};

/// The first-party policy, as it is.
#[path = "../../../../plugins/placement-best-fit/src/lib.rs"]
mod best_fit;

/// What the sandbox costs a policy.
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
    /// Programs of this build.
    #[arg(long, env = "VELUM_BIN")]
    programs: PathBuf,
    /// Components of this build.
    #[arg(long, env = "VELUM_PLUGINS")]
    plugins: PathBuf,
}

/// Runs it.
#[tokio::main]
pub async fn main() -> anyhow::Result<ExitCode> {
    let arguments = velum_bench::arguments::<Arguments>();
    let built = Built {
        programs: arguments.programs.clone(),
        plugins: arguments.plugins.clone(),
    };
    let directory = tempfile::tempdir()?;
    let runtime = built.runtime(directory.path(), false)?;
    let (component, manifest) = built.plugin("placement-best-fit")?;
    let digest = runtime.install(component, Some(manifest)).await?.digest;
    let sandboxed = || runtime.policy(&digest, &serde_json::json!({}));
    let native = Native::<best_fit::BestFit>::new;
    let mut whole = (Vec::new(), Vec::new());
    let mut ranks = [(200, Vec::new(), Vec::new()), (100_000, Vec::new(), Vec::new())];
    for _ in 0..arguments.rounds {
        let mut zone = decision::zone(arguments.hosts)?;
        let (micros, by_wasm) = decision::decide(&mut zone, sandboxed()?, arguments.decisions)?;
        whole.0.push(micros);
        let mut zone = decision::zone(arguments.hosts)?;
        let (micros, by_native) = decision::decide(&mut zone, Box::new(native()?), arguments.decisions)?;
        whole.1.push(micros);
        anyhow::ensure!(
            by_wasm == by_native,
            "the component and the native code decide differently"
        );
        for (hosts, wasm, plain) in &mut ranks {
            wasm.push(decision::rank(sandboxed()?.as_mut(), *hosts, 50)?);
            plain.push(decision::rank(&mut native()?, *hosts, 50)?);
        }
    }
    let (wasm, plain) = (median(whole.0), median(whole.1));
    eprintln!(
        "one decision over {} compute hosts: {wasm:.1} us as Wasm, {plain:.1} us native",
        arguments.hosts
    );
    let mut report = Report::new("policy", wasm / plain, "Wasm : native", Aim::AtMost(1.2))
        .with("hosts", arguments.hosts)
        .with("decision_wasm_us", wasm)
        .with("decision_native_us", plain);
    for (hosts, wasm, plain) in ranks {
        let (wasm, plain) = (median(wasm), median(plain));
        eprintln!("rank over {hosts}: {wasm:.1} us as Wasm, {plain:.1} us native");
        report = report
            .with(&format!("rank_{hosts}_wasm_us"), wasm)
            .with(&format!("rank_{hosts}_native_us"), plain)
            .require(&format!("rank_{hosts}_at_most_2"), wasm / plain <= 2.0);
    }
    for hosts in [5000, 25_000, 100_000] {
        let micros = decision::kept(hosts, 20_000)?;
        eprintln!(
            "a decision of the built-in policy over {hosts}, from what is kept: {micros:.1} us with its claim"
        );
        report = report.with(&format!("kept_{hosts}_us"), micros);
    }
    Ok(report.print())
}
