//! `velum plugin bench`: what a plugin costs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use velum_testkit::{
    bench::{self, PolicyFigures, VerbFigures},
    profile::{Profile, profile},
};

use super::ground::{Parts, far_side, sandbox};
use crate::{
    failure::Failure,
    session::{Output, print},
    table,
    text::{bytes, plain},
};

/// What to measure.
#[derive(clap::Args, Debug)]
pub struct Bench {
    /// The plugin's folder, with plugin.toml, the component, and conformance.toml where a far side is needed.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// The component [default: what `velum plugin build` made in the folder].
    #[arg(long, value_name = "FILE")]
    pub component: Option<PathBuf>,
    /// Policies: how many compute hosts there are.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000, 5_000], value_name = "N,...",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub hosts: Vec<u32>,
    /// Questions of each size; lives of a run or volume.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rounds: u32,
    /// Policies: where the fuel of a question about the most compute hosts goes, into a file of stacks that tools for flame
    /// graphs read.
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
}

/// Stops of a profile: a function with a hundredth of the fuel is seen some ten times.
const STOPS: u32 = 1_000;
/// Functions of a profile that are shown; all are in the file.
const SHOWN: usize = 12;

/// Runs `velum plugin bench`.
pub async fn run(bench: &Bench, output: Output) -> Result<(), Failure> {
    let parts = Parts::of_folder(&bench.dir, bench.component.as_deref())?;
    let sandbox = sandbox()?;
    let plugin = parts.install(&sandbox).await?;
    let far = far_side(&sandbox, &plugin).await?;
    let is_policy = plugin.inspected.world == velum_testkit::World::PlacementPolicy;
    if let Some(file) = &bench.profile {
        if !is_policy {
            return Err(Failure::usage(
                "--profile: only policies have a profile; a driver or provider waits for its far side most of the time",
            ));
        }
        let hosts = bench.hosts.iter().copied().max().unwrap_or_default();
        let profile = profile(&sandbox, &plugin, far.settings(), hosts, STOPS).map_err(anyhow::Error::new)?;
        std::fs::write(file, profile.folded())
            .with_context(|| format!("could not write {}", file.display()))?;
        return print(output, &profile, || of_profile(&profile, file));
    }
    if is_policy {
        let figures = bench::policy(&sandbox, &plugin, far.settings(), &bench.hosts, bench.rounds);
        let figures = figures.map_err(anyhow::Error::new)?;
        print(output, &figures, || of_policy(&figures))
    } else {
        let figures = bench::verbs(&sandbox, &plugin, far.settings(), bench.rounds).await;
        let figures = figures.map_err(anyhow::Error::new)?;
        print(output, &figures, || of_verbs(&figures))
    }
}

fn of_policy(figures: &[PolicyFigures]) -> String {
    let rows = figures.iter().map(|figure| {
        vec![
            figure.hosts.to_string(),
            format!("{:.1} us", figure.load_us),
            format!("{:.1} us", figure.score_p50_us),
            format!("{:.1} us", figure.score_p99_us),
            format!("{:.1} ns", figure.score_row_ns),
            figure.fuel.to_string(),
            format!(
                "{:.2} %",
                figure.fuel as f64 * 100.0 / figure.fuel_allowed.max(1) as f64
            ),
            bytes(figure.memory_bytes as u64),
        ]
    });
    let headers = [
        "HOSTS",
        "LOAD",
        "SCORE P50",
        "P99",
        "A HOST",
        "FUEL",
        "OF ALLOWED",
        "MEMORY",
    ];
    table::list(&headers, rows.collect(), None)
}

/// The functions that cost most, and where the rest is.
fn of_profile(profile: &Profile, file: &Path) -> String {
    let stops: u64 = profile.stacks.values().sum();
    let percent = |count: u64| format!("{:.1} %", count as f64 * 100.0 / stops.max(1) as f64);
    let rows = profile
        .shares()
        .into_iter()
        .take(SHOWN)
        .map(|share| vec![percent(share.own), percent(share.total), plain(&share.function)]);
    let table = table::list(&["OWN", "WITH CALLS", "FUNCTION"], rows.collect(), None);
    format!(
        "{table}{} fuel for {} compute hosts, {stops} stops\nwrote {}\n",
        profile.fuel,
        profile.hosts,
        file.display()
    )
}

fn of_verbs(figures: &[VerbFigures]) -> String {
    let rows = figures.iter().map(|figure| {
        vec![
            figure.verb.clone(),
            figure.calls.to_string(),
            format!("{:.2} ms", figure.p50_ms),
            format!("{:.2} ms", figure.p99_ms),
        ]
    });
    table::list(&["VERB", "CALLS", "P50", "P99"], rows.collect(), None)
}
