//! How well policies pack: the same guests come to and go from the same compute hosts under each of them, and under a plain
//! scan for the tightest fit that shares no code with the planner. What counts is who is refused, and how many compute hosts
//! stay empty for what is large, or off.

mod exact;
mod zone;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;
use serde_json::{Value, json};
use velum_bench::sandbox::Built;
use velum_model::{plugin::Digest, port::plugins::Plugins as _};
use velum_placement::{
    Ranker,
    load::{Event, Foresight, Guest, Load, Mix},
};
use velum_support::{Aim, Report};

use self::{
    exact::Exact,
    zone::{Planned, label},
};

/// How well policies pack.
#[derive(Debug, Parser)]
struct Arguments {
    /// Compute hosts, each of 96 vCPUs and 384 GiB.
    #[arg(long, default_value_t = 300)]
    hosts: u32,
    /// Days of a round; the second half counts.
    #[arg(long, default_value_t = 60)]
    days: u64,
    /// Guests that are there at once, in percent of what the scarcer of vCPUs and memory has room for: one of room enough, where
    /// empty compute hosts tell policies apart, and one of too little, where refusals do.
    #[arg(long, value_delimiter = ',', default_values_t = [85, 100])]
    loads: Vec<u32>,
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
/// Between two looks at how many compute hosts are empty: an hour.
const LOOK_EVERY_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;
/// Refusals over the scan's that are taken for none, in points.
const REFUSALS: f64 = 0.05;
/// Empty compute hosts under the scan's that are taken for none, in points.
const EMPTY: f64 = 0.3;
/// Empty compute hosts over the scan's that are the aim of a policy that knows lifetimes, in points.
const LIFETIME_AIM: f64 = 1.0;

/// The planner under a policy.
struct Contestant {
    name: &'static str,
    /// None is the built-in one.
    component: Option<&'static str>,
    config: Value,
    foresight: Foresight,
    /// Whether it is to be as good as the scan.
    is_tight: bool,
}

/// Every policy that ships.
fn contestants() -> Vec<Contestant> {
    let of = |name, component| Contestant {
        name,
        component: Some(component),
        config: json!({}),
        foresight: Foresight::PERFECT,
        is_tight: false,
    };
    let best_fit = of("best-fit", "placement-best-fit");
    vec![
        Contestant {
            name: "built-in",
            component: None,
            is_tight: true,
            ..of("", "")
        },
        Contestant {
            is_tight: true,
            ..best_fit
        },
        of("first-fit", "placement-first-fit"),
        of("spread", "placement-spread"),
        of("weighted", "placement-weighted"),
        Contestant {
            config: json!({ "lifetime_weight": 100 }),
            ..of("weighted, lifetimes known", "placement-weighted")
        },
        of("lifetime, all known", "placement-lifetime"),
        Contestant {
            foresight: Foresight::NOISY,
            ..of("lifetime, guessed", "placement-lifetime")
        },
    ]
}

/// Who finds a place.
pub trait Packer {
    /// Takes a guest in; false when there is no room.
    ///
    /// # Errors
    /// The policy failed.
    fn take(&mut self, guest: &Guest) -> anyhow::Result<bool>;
    /// A guest that came goes; it may have been refused.
    fn leave(&mut self, number: u64);
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

/// What came of all rounds, by load and name.
type Results = BTreeMap<(u32, &'static str), Vec<Packed>>;

fn pack(packer: &mut dyn Packer, load: Load, arguments: &Arguments) -> anyhow::Result<Packed> {
    let end_ms = arguments.days * DAY_MS;
    let (mut refused, mut empty, mut looks, mut counted) = (0_u64, 0_u64, 0_u64, 0_u64);
    let (mut micros, mut asked, mut next_look) = (0.0, 0_u64, 0);
    for event in load {
        let guest = match event {
            Event::Goes { number, .. } => {
                packer.leave(number);
                continue;
            }
            Event::Comes(guest) => guest,
        };
        if guest.at_ms > end_ms {
            break;
        }
        // The first half forgets how the zone was filled.
        while next_look <= guest.at_ms {
            if next_look >= end_ms / 2 {
                looks += 1;
                empty += packer.empty() as u64;
            }
            next_look += LOOK_EVERY_MS;
        }
        let began = Instant::now();
        let is_taken = packer.take(&guest)?;
        micros += began.elapsed().as_secs_f64() * 1e6;
        asked += 1;
        if guest.at_ms >= end_ms / 2 {
            counted += 1;
            refused += u64::from(!is_taken);
        }
    }
    let hosts = f64::from(arguments.hosts);
    Ok(Packed {
        refused: refused as f64 * 100.0 / counted.max(1) as f64,
        empty: empty as f64 * 100.0 / (looks.max(1) as f64 * hosts),
        decision_us: micros / asked.max(1) as f64,
    })
}

/// The guests of a seed that want `percent` of the zone.
fn load(arguments: &Arguments, foresight: Foresight, (seed, percent): (u64, u32)) -> Load {
    let mix = Mix::general().with_foresight(foresight);
    let hosts = u64::from(arguments.hosts);
    let alive = Load::alive_for(&mix, hosts * u64::from(HOST.0), hosts * HOST.1, percent);
    Load::new(mix, seed, alive)
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
    let contestants = contestants();
    let mut digests: BTreeMap<&str, Digest> = BTreeMap::new();
    for name in contestants.iter().filter_map(|contestant| contestant.component) {
        if !digests.contains_key(name) {
            let (component, manifest) = built.plugin(name)?;
            digests.insert(name, runtime.install(component, Some(manifest)).await?.digest);
        }
    }
    let mut results = Results::new();
    for &percent in &arguments.loads {
        // In turns, so that a busy moment is everybody's.
        for seed in 1..=arguments.seeds {
            let guests = load(&arguments, Foresight::PERFECT, (seed, percent));
            let exact = pack(&mut Exact::new(arguments.hosts), guests, &arguments)?;
            results.entry((percent, "exact")).or_default().push(exact);
            for contestant in &contestants {
                let digest = contestant.component.and_then(|name| digests.get(name));
                let ranker = match digest {
                    Some(digest) => {
                        let policy = runtime.policy(digest, &contestant.config)?;
                        Ranker::of(label(contestant.name, digest), policy)
                    }
                    None => Ranker::built_in(),
                };
                let mut planned = Planned::new(arguments.hosts, ranker)?;
                let guests = load(&arguments, contestant.foresight, (seed, percent));
                let packed = pack(&mut planned, guests, &arguments)?;
                results
                    .entry((percent, contestant.name))
                    .or_default()
                    .push(packed);
            }
            eprintln!("load {percent} %: seed {seed} of {}", arguments.seeds);
        }
    }
    Ok(told(&results, &contestants, &arguments))
}

fn mean(of: &[Packed], which: fn(&Packed) -> f64) -> f64 {
    of.iter().map(which).sum::<f64>() / of.len().max(1) as f64
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A table, and the line that counts.
fn told(results: &Results, contestants: &[Contestant], arguments: &Arguments) -> ExitCode {
    eprintln!(
        "{:>5}  {:<26} {:>9} {:>9} {:>12}",
        "load", "policy", "refused", "empty", "a decision"
    );
    let mut policies = serde_json::Map::new();
    for ((percent, name), rounds) in results {
        let (refused, empty) = (mean(rounds, |p| p.refused), mean(rounds, |p| p.empty));
        let micros = mean(rounds, |p| p.decision_us);
        eprintln!("{percent:>3} %  {name:<26} {refused:>7.3} % {empty:>7.2} % {micros:>9.1} us");
        let figures = json!({
            "refused_percent": rounded(refused),
            "empty_percent": rounded(empty),
            "decision_us": rounded(micros),
        });
        policies.insert(format!("{name} at {percent} %"), figures);
    }
    // Over the scan of the same load.
    let over = |name: &'static str, which: fn(&Packed) -> f64, percent: u32| {
        let of = |name: &'static str| {
            results
                .get(&(percent, name))
                .map_or(0.0, |rounds| mean(rounds, which))
        };
        of(name) - of("exact")
    };
    let worst = |names: &[&'static str], which: fn(&Packed) -> f64, sign: f64| {
        let loads = arguments.loads.iter();
        loads
            .flat_map(|&percent| names.iter().map(move |&name| (name, percent)))
            .map(|(name, percent)| sign * over(name, which, percent))
            .fold(f64::NEG_INFINITY, f64::max)
    };
    let tight: Vec<&'static str> = contestants
        .iter()
        .filter(|one| one.is_tight)
        .map(|one| one.name)
        .collect();
    let knowing = ["lifetime, all known", "lifetime, guessed"];
    let refused = worst(&tight, |p| p.refused, 1.0);
    let fewer_empty = worst(&tight, |p| p.empty, -1.0);
    let lifetime_refused = worst(&knowing, |p| p.refused, 1.0);
    // Empty compute hosts are for the load that leaves some.
    let roomy = arguments.loads.iter().copied().min().unwrap_or(0);
    let gained = |name: &'static str| rounded(over(name, |p| p.empty, roomy));
    Report::new(
        "packing",
        refused,
        "points of refusals over best-fit",
        Aim::AtMost(REFUSALS),
    )
    .with("hosts", arguments.hosts)
    .with("days", arguments.days)
    .with("loads_percent", arguments.loads.clone())
    .with("seeds", arguments.seeds)
    .with("fewer_empty_points", rounded(fewer_empty))
    .with("lifetime_refused_points", rounded(lifetime_refused))
    .with("lifetime_empty_points_all_known", gained("lifetime, all known"))
    .with("lifetime_empty_points_guessed", gained("lifetime, guessed"))
    .with("lifetime_aim_points", LIFETIME_AIM)
    .with("lifetime_aim_met", gained("lifetime, all known") >= LIFETIME_AIM)
    .with("policies", policies)
    .require("empty_within_0_3_points", fewer_empty <= EMPTY)
    .require("lifetime_refuses_no_more", lifetime_refused <= REFUSALS)
    .print()
}
