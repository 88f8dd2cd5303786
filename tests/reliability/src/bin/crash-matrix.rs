//! Every fault at every step of every kind of operation: crash before the intent, after the intent, after the effect, after
//! the record; error, refusal, timeout after the effect, duplicate and late delivery, a stale owner; a crash inside the
//! recovery; each of them again inside an undo. A fault counts when it came about; one that cannot (a step that asks the far
//! side nothing cannot be answered too late) is shown as such, from a run that saw what the step does.

use std::{collections::BTreeMap, process::ExitCode, time::Instant};

use anyhow::Context;
use clap::Parser;
use parking_lot::Mutex;
use velum_model::operation::{OperationKindName, OperationState};
use velum_reliability::{
    ground::Ground,
    matrix::{Cell, Outcome, Seen, cells, is_fair, play},
    workers::{self, Worker},
};
use velum_support::{Aim, Report};

/// Plays every fault at every step.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only cells whose name has this in it, as they are printed: `instance-create/define/Crash(AfterIntent)`.
    #[arg(long, default_value = "")]
    only: String,
    /// Print each cell as it ends.
    #[arg(long)]
    verbose: bool,
}

/// How the cells of a kind ended.
#[derive(Default)]
struct Row {
    played: u32,
    cannot: u32,
    done: u32,
    undone: u32,
    parked: u32,
    wrong: u32,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let began = Instant::now();
    let worker = Worker::new()?;
    let ground = Ground::build(worker.outside()).context("the cloud that every cell begins with")?;
    let all: Vec<Cell> = cells()
        .into_iter()
        .filter(|cell| cell.name().contains(&arguments.only))
        .collect();
    let grounds = see(&ground, &all, &worker)?;
    let rows: Mutex<BTreeMap<OperationKindName, Row>> = Mutex::default();
    let problems: Mutex<Vec<String>> = Mutex::default();
    workers::each(all.len() as u64, |number, worker| {
        let Some(cell) = usize::try_from(number).ok().and_then(|at| all.get(at)) else {
            return;
        };
        let can = grounds
            .get(&cell.ground().name())
            .is_some_and(|seen| cell.applies(seen));
        if !can {
            rows.lock().entry(cell.kind).or_default().cannot += 1;
            return;
        }
        let outcome = play(&ground, cell, worker);
        let found = judge(cell, &outcome);
        if arguments.verbose {
            println!("{}: {:?} {found:?}", cell.name(), outcome.as_ref().map(|o| o.end));
        }
        let mut rows = rows.lock();
        let row = rows.entry(cell.kind).or_default();
        row.played += 1;
        row.wrong += u32::from(!found.is_empty());
        match outcome.map(|o| o.end) {
            Ok(OperationState::Done) => row.done += 1,
            Ok(OperationState::Undone) => row.undone += 1,
            Ok(OperationState::Parked) => row.parked += 1,
            _ => {}
        }
        problems
            .lock()
            .extend(found.iter().map(|problem| format!("{}: {problem}", cell.name())));
    })?;
    Ok(report(&rows.into_inner(), &problems.into_inner(), began))
}

/// Runs in which nothing goes wrong but what later cells build on: what each step does there.
fn see(ground: &Ground, cells: &[Cell], worker: &Worker) -> anyhow::Result<BTreeMap<String, Seen>> {
    let mut grounds = BTreeMap::new();
    for cell in cells {
        let under = cell.ground();
        if let std::collections::btree_map::Entry::Vacant(entry) = grounds.entry(under.name()) {
            entry.insert(play(ground, &under, worker)?.seen);
        }
    }
    Ok(grounds)
}

fn judge(cell: &Cell, outcome: &anyhow::Result<Outcome>) -> Vec<String> {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return vec![format!("{error:#}")],
    };
    let mut found = outcome.violations.clone();
    if !outcome.hit {
        found.push("the fault did not come about".into());
    }
    if !is_fair(cell, outcome.end) {
        found.push(format!("it ended {:?}", outcome.end));
    }
    found
}

fn report(rows: &BTreeMap<OperationKindName, Row>, problems: &[String], began: Instant) -> ExitCode {
    println!(
        "{:26} {:>6} {:>6} {:>6} {:>6} {:>7} {:>6}",
        "kind", "cells", "done", "undone", "parked", "cannot", "wrong"
    );
    let mut all = Row::default();
    for (kind, row) in rows {
        println!(
            "{:26} {:>6} {:>6} {:>6} {:>6} {:>7} {:>6}",
            kind.as_str(),
            row.played,
            row.done,
            row.undone,
            row.parked,
            row.cannot,
            row.wrong
        );
        all.played += row.played;
        all.cannot += row.cannot;
        all.done += row.done;
        all.undone += row.undone;
        all.parked += row.parked;
    }
    for problem in problems.iter().take(40) {
        println!("{problem}");
    }
    let steps: usize = OperationKindName::ALL
        .iter()
        .map(|kind| velum_operation::steps_of(*kind).len())
        .sum();
    Report::new(
        "crash-matrix",
        problems.len() as f64,
        "violations",
        Aim::AtMost(0.0),
    )
    .with("kinds", rows.len())
    .with("steps", steps)
    .with("cells", all.played)
    .with("hit", all.played)
    .with("cannot", all.cannot)
    .with("done", all.done)
    .with("undone", all.undone)
    .with("parked", all.parked)
    .with("seconds", began.elapsed().as_secs())
    .print()
}
