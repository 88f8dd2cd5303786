//! `velum plugin bench`: what a plugin costs.

use std::path::PathBuf;

use velum_testkit::bench::{self, PolicyFigures, VerbFigures};

use super::ground::{Parts, far_side, sandbox};
use crate::{failure::Failure, session::write_out, table, text::bytes};

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
}

/// Runs `velum plugin bench`.
pub async fn run(bench: &Bench) -> Result<(), Failure> {
    let parts = Parts::of_folder(&bench.dir, bench.component.as_deref())?;
    let sandbox = sandbox()?;
    let plugin = parts.install(&sandbox).await?;
    let far = far_side(&sandbox, &plugin).await?;
    let is_policy = plugin.inspected.world == velum_testkit::World::PlacementPolicy;
    let text = if is_policy {
        let figures = bench::policy(&sandbox, &plugin, far.settings(), &bench.hosts, bench.rounds);
        of_policy(&figures.map_err(anyhow::Error::new)?)
    } else {
        let figures = bench::verbs(&sandbox, &plugin, far.settings(), bench.rounds).await;
        of_verbs(&figures.map_err(anyhow::Error::new)?)
    };
    write_out(&text)
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
