//! What every call to a driver or provider carries, and waiting for long work.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value;
use uuid::Uuid;
use velum_model::{
    fault::Fault,
    port::{
        Call, Effect, Fence, Job, Outcome, Target, TargetKind,
        target::{Attr, AttrValue},
    },
};

use super::Stop;
use crate::{
    Answer, Is, Settings,
    case::{Args, Step},
    labels::Labels,
};

/// Deadline of an effect: that of the server's shortest steps.
const DEADLINE_MS: u32 = 10_000;
/// How long work may take, unless `conformance.toml` says otherwise: a copy on a busy array.
const PATIENCE_MS: u64 = 60_000;
/// The longest pause between two polls here: the suite's own time is somebody's, too.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A code that nobody may know, with the bit that says that it must not be skipped.
pub const CRITICAL: Attr = Attr {
    code: 0x4abc,
    value: AttrValue::Number(1),
};

/// Where a case calls, and what it is called by.
pub struct Calls {
    /// The labels of the case.
    pub labels: Labels,
    /// Where.
    pub target: Target,
    patience: Duration,
    shard: Uuid,
    attempts: BTreeMap<String, u16>,
    steps: u32,
}

impl Calls {
    /// Of one case.
    pub fn new(kind: TargetKind, settings: &Settings, root: Uuid) -> Self {
        let mut labels = Labels::new(root);
        let own = &settings.target;
        let empty = || Value::Object(serde_json::Map::new());
        let target = Target {
            kind,
            id: labels.id("target", "the target"),
            config: own.config.clone().unwrap_or_else(empty),
            node: own.node.clone(),
            endpoint: own.endpoint.clone(),
            secret: own.secret.clone(),
        };
        Self {
            shard: labels.id("shard", "the shard"),
            labels,
            target,
            patience: Duration::from_millis(settings.patience_ms.unwrap_or(PATIENCE_MS)),
            attempts: BTreeMap::new(),
            steps: 0,
        }
    }

    /// The call of a step about an object: under the effect that it names, or one of its own.
    pub fn call(&mut self, step: &Step, object: Uuid, generation: u64) -> Call {
        self.steps += 1;
        let label = match step.args.text("effect") {
            Some(label) => label.to_owned(),
            None => format!("step {}", self.steps),
        };
        self.call_as(&label, object, generation)
    }

    /// The call under an effect's label; the same label again is another attempt of the same effect.
    pub fn call_as(&mut self, label: &str, object: Uuid, generation: u64) -> Call {
        let attempt = self.attempts.entry(label.to_owned()).or_default();
        let effect = Effect {
            id: self.labels.id("effect", label),
            attempt: *attempt,
            deadline_ms: DEADLINE_MS,
        };
        *attempt = attempt.saturating_add(1);
        Call {
            target: self.target.clone(),
            fence: Fence {
                shard: self.shard,
                epoch: 1,
                object,
                generation,
            },
            effect,
        }
    }

    /// Polls what goes on until it is over or patience is.
    pub async fn follow(
        &self,
        first: Result<Outcome, Fault>,
        poll: impl AsyncFn(String) -> Result<Outcome, Fault>,
    ) -> Answer {
        let began = Instant::now();
        let mut answer = first;
        while let Ok(Outcome::Working(job)) = &answer {
            if began.elapsed() >= self.patience {
                return unfinished(job, began.elapsed());
            }
            let pause = Duration::from_millis(u64::from(job.poll_after_ms)).min(PAUSE_MAX);
            tokio::time::sleep(pause).await;
            answer = poll(job.token.clone()).await;
        }
        Answer::of_change(answer)
    }

    /// An answer with labels in it.
    pub fn named(&self, answer: Answer) -> Answer {
        Answer {
            body: self.labels.named(answer.body),
            ..answer
        }
    }
}

fn unfinished(job: &Job, after: Duration) -> Answer {
    let note = format!("still working after {after:?}: {}", job.note);
    Answer::new(Is::Unfinished, Value::String(note))
}

/// The token that a poll is about.
///
/// # Errors
/// The step that it refers to had none: nothing was long.
pub fn token(args: &Args, earlier: &BTreeMap<String, Answer>) -> Result<String, Stop> {
    if let Some(token) = args.text("token") {
        return Ok(token.to_owned());
    }
    let step = args.text("token-of").unwrap_or_default();
    let answer = earlier.get(step);
    answer
        .filter(|answer| answer.is == Is::Working)
        .and_then(|answer| answer.body.get("token")?.as_str().map(str::to_owned))
        .ok_or_else(|| Stop::LeftOut("nothing was long here: it was done at once".to_owned()))
}
