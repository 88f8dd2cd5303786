//! How well policies pack: the same guests come to and go from the same compute hosts under each of them, and under a plain
//! scan for the tightest fit that shares no code with the planner. What counts is who is refused, and how many compute hosts
//! stay empty for what is large, or off.

mod exact;
mod zone;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    path::PathBuf,
    process::ExitCode,
    time::Instant,
};

use clap::Parser;
use serde_json::json;
use velum_bench::sandbox::Built;
use velum_model::port::plugins::Plugins as _;
use velum_placement::Ranker;
use velum_support::{Aim, Load, Report, Shape, mean_shape};

use crate::{
    exact::Exact,
    zone::{Planned, label},
};

/// How well policies pack.
#[derive(Debug, Parser)]
struct Arguments {
    /// Compute hosts, each of 96 vCPUs and 384 GiB.
    #[arg(long, default_value_t = 300)]
    hosts: u32,
    /// Guests of a round; the second half counts.
    #[arg(long, default_value_t = 40_000)]
    guests: usize,
    /// Guests that are there at once, in percent of what the scarcer of vCPUs and memory has room for.
    #[arg(long, default_value_t = 100)]
    load: u32,
    /// Rounds, each with guests of its own.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Programs of this build.
    #[arg(long, env = "VELUM_BIN")]
    programs: PathBuf,
    /// Components of this build.
    #[arg(long, env = "VELUM_PLUGINS")]
    plugins: PathBuf,
}

/// vCPUs and MiB of a compute host.
pub const HOST: (u32, u64) = (96, 384 * 1024);
/// Between two looks at how many compute hosts are empty, in guests that come.
const LOOK_EVERY: usize = 200;
/// The components that ship, beside the built-in policy.
const COMPONENTS: [&str; 3] = ["placement-best-fit", "placement-first-fit", "placement-spread"];
/// Those that are to be as good as the scan.
const TIGHT: [&str; 2] = ["built-in", "placement-best-fit"];

/// Who finds a place.
pub trait Packer {
    /// Takes a guest in; false when there is no room.
    fn take(&mut self, guest: usize, shape: Shape) -> bool;
    /// A guest that was taken in goes.
    fn leave(&mut self, guest: usize);
    /// Compute hosts without guests.
    fn empty(&self) -> usize;
}

/// What came of the guests of one seed, in percent.
#[derive(Clone, Copy, Debug, Default)]
struct Packed {
    refused: f64,
    empty: f64,
    decision_us: f64,
}

fn pack(packer: &mut dyn Packer, arguments: &Arguments, seed: u64) -> Packed {
    let (vcpus, memory) = mean_shape();
    let hosts = f64::from(arguments.hosts);
    let room = (f64::from(HOST.0) / vcpus).min(HOST.1 as f64 / memory);
    let alive = hosts * room * f64::from(arguments.load) / 100.0;
    let mut leaving: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let (mut refused, mut empty, mut looks, mut counted) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut micros = 0.0;
    for (number, guest) in Load::new(seed, alive).take(arguments.guests).enumerate() {
        while let Some(&Reverse((until, gone))) = leaving.peek() {
            if until > ticks(guest.at) {
                break;
            }
            leaving.pop();
            packer.leave(gone);
        }
        let began = Instant::now();
        let is_taken = packer.take(number, guest.shape);
        micros += began.elapsed().as_secs_f64() * 1e6;
        if is_taken {
            leaving.push(Reverse((ticks(guest.until), number)));
        }
        // The first half fills the zone.
        if number >= arguments.guests / 2 {
            counted += 1;
            refused += u64::from(!is_taken);
            if number.is_multiple_of(LOOK_EVERY) {
                looks += 1;
                empty += packer.empty() as u64;
            }
        }
    }
    Packed {
        refused: refused as f64 * 100.0 / counted.max(1) as f64,
        empty: empty as f64 * 100.0 / (looks.max(1) as f64 * hosts),
        decision_us: micros / arguments.guests.max(1) as f64,
    }
}

/// A time as a number that has an order.
fn ticks(time: f64) -> u64 {
    (time * 1e9) as u64
}

fn mean(of: &[Packed], which: fn(&Packed) -> f64) -> f64 {
    of.iter().map(which).sum::<f64>() / of.len().max(1) as f64
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let built = Built {
        programs: arguments.programs.clone(),
        plugins: arguments.plugins.clone(),
    };
    let directory = tempfile::tempdir()?;
    let runtime = built.runtime(directory.path(), false)?;
    let mut digests = BTreeMap::new();
    for name in COMPONENTS {
        let (component, manifest) = built.plugin(name)?;
        digests.insert(name, runtime.install(component, Some(manifest)).await?.digest);
    }
    let mut packed: BTreeMap<&str, Vec<Packed>> = BTreeMap::new();
    // In turns, so that a busy moment is everybody's.
    for seed in 1..=arguments.seeds {
        let exact = pack(&mut Exact::new(arguments.hosts), &arguments, seed);
        packed.entry("exact").or_default().push(exact);
        let built_in = Planned::new(arguments.hosts, Ranker::built_in());
        packed
            .entry("built-in")
            .or_default()
            .push(pack(&mut built_in?, &arguments, seed));
        for (name, digest) in &digests {
            let policy = runtime.policy(digest, &json!({}))?;
            let mut planned = Planned::new(arguments.hosts, Ranker::of(label(name, digest), policy))?;
            packed
                .entry(name)
                .or_default()
                .push(pack(&mut planned, &arguments, seed));
        }
    }
    Ok(told(&packed, &arguments))
}

/// A table, and the line that counts.
fn told(packed: &BTreeMap<&str, Vec<Packed>>, arguments: &Arguments) -> ExitCode {
    let of = |name: &str, which: fn(&Packed) -> f64| packed.get(name).map_or(0.0, |of| mean(of, which));
    let exact = (of("exact", |p| p.refused), of("exact", |p| p.empty));
    eprintln!(
        "{:<22} {:>9} {:>9} {:>12}",
        "policy", "refused", "empty", "a decision"
    );
    for (name, rounds) in packed {
        eprintln!(
            "{name:<22} {:>7.2} % {:>7.2} % {:>9.1} us",
            mean(rounds, |p| p.refused),
            mean(rounds, |p| p.empty),
            mean(rounds, |p| p.decision_us)
        );
    }
    let worst = |which: fn(&Packed) -> f64, than: f64, sign: f64| {
        TIGHT
            .iter()
            .map(|name| (of(name, which) - than) * sign)
            .fold(f64::NEG_INFINITY, f64::max)
    };
    let refused = worst(|p| p.refused, exact.0, 1.0);
    let fewer_empty = worst(|p| p.empty, exact.1, -1.0);
    let policies: serde_json::Map<String, serde_json::Value> = packed
        .iter()
        .map(|(name, rounds)| {
            let round = |value: f64| (value * 1000.0).round() / 1000.0;
            let figures = json!({
                "refused_percent": round(mean(rounds, |p| p.refused)),
                "empty_percent": round(mean(rounds, |p| p.empty)),
                "decision_us": round(mean(rounds, |p| p.decision_us)),
            });
            ((*name).to_owned(), figures)
        })
        .collect();
    let bound = Aim::AtMost(0.05);
    Report::new("packing", refused, "points of refusals over best-fit", bound)
        .with("hosts", arguments.hosts)
        .with("guests", arguments.guests)
        .with("load_percent", arguments.load)
        .with("seeds", arguments.seeds)
        .with("fewer_empty_points", (fewer_empty * 1000.0).round() / 1000.0)
        .with("policies", policies)
        .require("empty_within_0_3_points", fewer_empty <= 0.3)
        .print()
}
