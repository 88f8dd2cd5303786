//! Deterministic simulation of use cases, engine, store and far side under chance from seeds. A part of the seeds is played
//! twice and must leave the same trace; `--seed N --trace` shows one.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
use parking_lot::Mutex;
use velum_reliability::{
    ground::Ground,
    simulation::{Outcome, play},
    workers::{self, Worker},
};
use velum_support::{Aim, Report};

/// Plays seeds.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many.
    #[arg(
        long,
        default_value_t = 10_000,
        default_value_if("release_size", "true", "1000000")
    )]
    seeds: u64,
    /// As many as before a release: a million.
    #[arg(long)]
    release_size: bool,
    /// The first one.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Only this one.
    #[arg(long)]
    seed: Option<u64>,
    /// Print its trace.
    #[arg(long, requires = "seed")]
    trace: bool,
}

/// One seed in so many is played twice.
const TWICE: u64 = 100;
/// Problems that are printed.
const SHOWN: usize = 20;

#[derive(Default)]
struct Tally {
    played: u64,
    twice: u64,
    acknowledged: u64,
    refused: u64,
    crashes: u64,
    standstills: u64,
    faults: u64,
    disk_faults: u64,
    fenced: u64,
    parked: u64,
    moved: u64,
    moved_and_done: u64,
    problems: Vec<String>,
}

impl Tally {
    fn add(&mut self, seed: u64, outcome: anyhow::Result<Outcome>) {
        self.played += 1;
        match outcome {
            Ok(outcome) => {
                self.acknowledged += u64::from(outcome.acknowledged);
                self.refused += u64::from(outcome.refused);
                self.crashes += u64::from(outcome.crashes);
                self.standstills += u64::from(outcome.standstills);
                self.faults += u64::from(outcome.faults);
                self.disk_faults += u64::from(outcome.disk_faults);
                self.fenced += outcome.fenced;
                self.parked += u64::from(outcome.parked);
                self.moved += u64::from(outcome.moved);
                self.moved_and_done += u64::from(outcome.moved_and_done);
                let found = outcome.violations.iter();
                self.problems.extend(found.map(|v| format!("seed {seed}: {v}")));
            }
            Err(error) => self.problems.push(format!("{error:#}")),
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let began = Instant::now();
    let worker = Worker::new()?;
    let ground = Ground::build(worker.outside()).context("the cloud that every seed begins with")?;
    if let (Some(seed), true) = (arguments.seed, arguments.trace) {
        let outcome = play(&ground, seed, &worker, Some(Box::new(|line| println!("{line}"))))?;
        println!("{} {:#?}", outcome.hash, outcome.violations);
    }
    let (from, seeds) = arguments
        .seed
        .map_or((arguments.from, arguments.seeds), |seed| (seed, 1));
    let (tally, told) = (Mutex::new(Tally::default()), Mutex::new(Instant::now()));
    workers::each(seeds, |number, worker| {
        let seed = from + number;
        let outcome = play(&ground, seed, worker, None);
        if seed.is_multiple_of(TWICE) || seeds == 1 {
            compare(&ground, seed, &outcome, worker, &tally);
        }
        let mut tally = tally.lock();
        tally.add(seed, outcome);
        let mut told = told.lock();
        if told.elapsed() > Duration::from_secs(10) {
            *told = Instant::now();
            eprintln!(
                "{} of {seeds} seeds, {} problems",
                tally.played,
                tally.problems.len()
            );
        }
    })?;
    Ok(report(&tally.into_inner(), &arguments, from, began))
}

fn report(tally: &Tally, arguments: &Arguments, from: u64, began: Instant) -> ExitCode {
    tally
        .problems
        .iter()
        .take(SHOWN)
        .for_each(|problem| println!("{problem}"));
    Report::new(
        "simulate",
        tally.problems.len() as f64,
        "violations",
        Aim::AtMost(0.0),
    )
    .with("seeds", tally.played)
    .with("first_seed", from)
    .with("release_size", arguments.release_size)
    .with("played_twice", tally.twice)
    .with("acknowledged", tally.acknowledged)
    .with("refused", tally.refused)
    .with("crashes", tally.crashes)
    .with("standstills", tally.standstills)
    .with("faults", tally.faults)
    .with("database_faults", tally.disk_faults)
    .with("fenced_effects", tally.fenced)
    .with("parked", tally.parked)
    .with("tried_on_another_compute_host", tally.moved)
    .with("done_there", tally.moved_and_done)
    .with("seconds", began.elapsed().as_secs())
    .print()
}

/// Plays a seed again: its trace must be the same.
fn compare(
    ground: &Ground,
    seed: u64,
    outcome: &anyhow::Result<Outcome>,
    worker: &Worker,
    tally: &Mutex<Tally>,
) {
    let again = play(ground, seed, worker, None);
    let mut tally = tally.lock();
    tally.twice += 1;
    if let (Ok(first), Ok(second)) = (outcome, again)
        && first.hash != second.hash
    {
        tally
            .problems
            .push(format!("seed {seed} took another way the second time"));
    }
}
