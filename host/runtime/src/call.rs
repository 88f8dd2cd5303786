//! One call into a driver or provider, from the server's side: the breaker, a deadline around everything, the checks of what
//! comes back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;
use tokio::time::Instant as Deadline;
use uuid::Uuid;
use velum_model::fault::{Fault, code};

use crate::{
    counters::End,
    errand::{Errand, Place, Ports},
    plugin::{Shared, TRACE},
    process::Process,
    sandbox::{
        Sandbox,
        ask::{Desk, decode},
        work::{Ended, Verb, Work},
    },
    world::{bindings::velum::common::types as wit, convert},
};

/// How long before the call's own deadline its host calls end, so that the plugin can still say what it knows.
const MARGIN: Duration = Duration::from_millis(200);
/// The shortest deadline of an effect: below it no far side can answer.
const SHORTEST: Duration = Duration::from_millis(100);

/// Where a component runs.
pub enum Worker {
    /// In a process of its own.
    Apart(Process),
    /// In this one.
    Here(Sandbox),
}

impl Worker {
    async fn run(&self, work: Work, errand: &Arc<Errand>) -> Ended {
        match self {
            Self::Apart(process) => process.run(work, errand).await,
            Self::Here(sandbox) => sandbox.run(work, Arc::clone(errand) as Arc<dyn Desk>).await,
        }
    }
}

/// Makes calls into one component.
pub struct Caller {
    /// Where it runs.
    pub worker: Worker,
    /// The plugin.
    pub plugin: Arc<Shared>,
    /// Connectors.
    pub ports: Arc<Ports>,
}

impl Caller {
    /// Calls the guest and checks its answer.
    ///
    /// # Errors
    /// The plugin's own fault, or `TRAPPED`, `DEADLINE`, `NONSENSE`, `UNAVAILABLE`, `BUSY`.
    pub async fn call<R, A>(
        &self,
        place: Place,
        verb: Verb,
        check: impl FnOnce(R) -> Result<A, String> + Send,
    ) -> Result<A, Fault>
    where
        R: DeserializeOwned + Send,
    {
        self.plugin.enter().map_err(|open| Fault {
            retry_after_ms: u32::try_from(open.retry_after_ms).ok(),
            ..Fault::unchanged(
                code::UNAVAILABLE,
                "the plugin's breaker is open after failures in a row",
            )
        })?;
        let deadline = self.deadline(&place);
        let until = Deadline::now() + deadline;
        let _permit = tokio::time::timeout_at(until, self.plugin.in_flight.acquire())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| {
                Fault::unchanged(code::UNAVAILABLE, "too many calls of this plugin are in flight")
            })?;
        let began = Instant::now();
        let trace = Trace::of(&place, &verb);
        let work = Work {
            place: place.for_guest(),
            verb,
        };
        let margin = MARGIN.min(until.saturating_duration_since(Deadline::now()) / 2);
        let errand = Arc::new(Errand::new(
            Arc::clone(&self.plugin),
            Arc::clone(&self.ports),
            place,
            until.checked_sub(margin).unwrap_or(until),
        ));
        let ended = tokio::time::timeout_at(until, self.worker.run(work, &errand)).await;
        let (end, answer) = judge(ended.ok(), errand.is_untouched(), check);
        trace.tell(&self.plugin, end, began.elapsed());
        match end {
            Some(end) => self.plugin.ended(end, began.elapsed(), 0),
            // The server's own trouble says nothing of the plugin.
            None => self.plugin.worked(),
        }
        answer
    }

    fn deadline(&self, place: &Place) -> Duration {
        let bounds = &self.plugin.bounds;
        match &place.warrant {
            Some((_, effect)) => Duration::from_millis(u64::from(effect.deadline_ms))
                .clamp(SHORTEST, bounds.effect_deadline_ceiling),
            None => bounds.reading_deadline,
        }
    }
}

/// What is told of every call at level `debug`, under [`TRACE`]: enough to follow one effect through all that was tried for it.
struct Trace {
    verb: &'static str,
    at: Uuid,
    /// Its id and how often it was tried before.
    effect: Option<(Uuid, u16)>,
}

impl Trace {
    fn of(place: &Place, verb: &Verb) -> Self {
        Self {
            verb: verb.name(),
            at: place.target.id,
            effect: place
                .warrant
                .as_ref()
                .map(|(_, effect)| (effect.id, effect.attempt)),
        }
    }

    fn tell(&self, plugin: &Shared, end: Option<End>, took: Duration) {
        tracing::debug!(
            target: TRACE,
            plugin = plugin.manifest.name.as_str(),
            digest = %plugin.digest,
            verb = self.verb,
            at = %self.at,
            effect = self.effect.map(|(id, _)| tracing::field::display(id)),
            attempt = self.effect.map(|(_, attempt)| attempt),
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            end = end.map_or("unable", End::name),
            "called"
        );
    }
}

/// What an end means: none when the deadline passed before it.
fn judge<R: DeserializeOwned, A>(
    ended: Option<Ended>,
    untouched: bool,
    check: impl FnOnce(R) -> Result<A, String>,
) -> (Option<End>, Result<A, Fault>) {
    let server = |code: u16, detail: String| {
        Err(Fault {
            code,
            unchanged: untouched,
            retry_after_ms: None,
            detail,
        })
    };
    let late = |why: &str| (Some(End::Late), server(code::DEADLINE, why.to_owned()));
    match ended {
        Some(Ended::Answer(bytes)) => match decode::<Result<R, wit::Fault>>(&bytes) {
            Ok(Err(fault)) => (Some(End::Refused), Err(convert::fault_from_guest(fault))),
            Ok(Ok(answer)) => match check(answer) {
                Ok(answer) => (Some(End::Answered), Ok(answer)),
                Err(problem) => (
                    Some(End::Nonsense),
                    server(
                        code::NONSENSE,
                        format!("the plugin's answer is not usable: {problem}"),
                    ),
                ),
            },
            Err(problem) => (
                Some(End::Nonsense),
                server(
                    code::NONSENSE,
                    format!("the plugin's process answered nonsense: {problem}"),
                ),
            ),
        },
        Some(Ended::Trapped(why)) => (
            Some(End::Trapped),
            server(code::TRAPPED, format!("the plugin trapped: {why}")),
        ),
        Some(Ended::Lost(why)) => (
            Some(End::Trapped),
            server(code::TRAPPED, format!("the plugin's process ended: {why}")),
        ),
        Some(Ended::Unable(why)) => (
            None,
            server(
                code::UNAVAILABLE,
                format!("the plugin's process cannot run: {why}"),
            ),
        ),
        Some(Ended::Overtime) => late("the plugin computed longer than it may"),
        None => late("the plugin did not answer within the deadline"),
    }
}
