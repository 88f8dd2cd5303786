//! Waiting for operations, and showing how far they are.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use uuid::Uuid;
use velum_client::Outcome;
use velum_wire::{OperationState, OperationView};

use crate::{
    failure::Failure,
    session::{Output, Session, draws_progress},
    text::plain,
};

/// How often the bar moves by itself, so that a long step does not look dead.
const TICK: Duration = Duration::from_millis(120);

/// Waits until the operation ended and shows progress on a terminal.
pub async fn finish(session: &Session, operation: Uuid) -> Result<OperationView, Failure> {
    let bar = if draws_progress(session.output) {
        operation_bar()
    } else {
        ProgressBar::hidden()
    };
    let outcome = session
        .client
        .wait_watching(operation, |seen| {
            bar.set_position(u64::from(seen.progress_percent));
            bar.set_prefix(plain(&seen.kind));
            bar.set_message(plain(&seen.note));
        })
        .await;
    bar.finish_and_clear();
    match outcome? {
        Outcome::Done(view) => Ok(*view),
        Outcome::Undone(view) | Outcome::Parked(view) => Err(ended_badly(&view)),
    }
}

/// What to tell about an operation that did not do what was asked.
pub fn ended_badly(view: &OperationView) -> Failure {
    let mut why = view
        .error
        .as_ref()
        .map_or_else(String::new, |e| format!(": {} ({})", e.message, e.code));
    // Where it stands, and what the far side itself said there, for whoever may see that.
    let stands = view.steps.iter().rev().find(|step| step.fault.is_some());
    if let (Some(step), OperationState::Parked) = (stands, view.state) {
        let fault = step.fault.as_deref().unwrap_or_default();
        why = format!(" at its step {}{why}; last: {fault}", step.step);
    }
    let next = if view.state == OperationState::Parked {
        "It keeps what it claimed until an operator decides (velum operation retry, undo or assert-gone)."
    } else {
        "Everything that it had claimed is free again."
    };
    let ended = if view.state == OperationState::Parked {
        "is parked"
    } else {
        "was undone"
    };
    Failure::Operation(format!(
        "the operation {} ({}) {ended}{why}. {next} See `velum operation show {}`.",
        view.id, view.kind, view.id
    ))
}

fn operation_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix} {bar:24} {pos:>3} %  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(100).with_style(style);
    bar.enable_steady_tick(TICK);
    bar
}

/// Something that turns while an answer takes seconds; hidden off a terminal.
pub fn spinner(output: Output, what: &str) -> ProgressBar {
    if !draws_progress(output) {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner()
        .with_style(style)
        .with_message(what.to_owned());
    bar.enable_steady_tick(TICK);
    bar
}

/// A bar for the cases of a suite; hidden off a terminal.
pub fn cases_bar(output: Output, total: u64) -> ProgressBar {
    if !draws_progress(output) {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {bar:24} {pos}/{len} cases  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total).with_style(style);
    bar.enable_steady_tick(TICK);
    bar
}

/// A bar for bytes that are read or sent; hidden off a terminal.
pub fn bytes_bar(session: &Session, total: u64, what: &str) -> ProgressBar {
    if !draws_progress(session.output) {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{prefix:10} {bar:24} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total)
        .with_style(style)
        .with_prefix(what.to_owned())
}
