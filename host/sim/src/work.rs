//! Long work: transitions that have begun and are not over. Time does not run by itself here: whoever looks at the world
//! first lets everything happen that is due.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{publication::Publication, verb::Verb, world::Disk};

/// When a caller should look at held work again; tests step in milliseconds.
const POLL_HELD_MS: u32 = 50;

/// The second half of a change, once its first half was checked and reserved.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The guest runs (start and reboot).
    Up { host: String, run: Uuid },
    /// The guest is off.
    Off { host: String, run: Uuid },
    /// The disk is gone from the guest.
    Detached { host: String, run: Uuid, slot: u16 },
    /// The disk is there.
    Attached { host: String, run: Uuid, disk: Disk },
    /// The run is undefined.
    Removed { host: String, run: Uuid },
    /// The volume can be used.
    Created { volume: Uuid },
    /// The volume is larger; its room was taken before.
    Expanded { volume: Uuid, from: u64 },
    /// The volume is gone.
    Deleted { volume: Uuid },
    /// A host reaches the volume.
    Published {
        volume: Uuid,
        node: Uuid,
        to: Publication,
    },
    /// It does not.
    Unpublished { volume: Uuid, node: Uuid },
    /// It was so before.
    Nothing,
}

impl Action {
    /// Whether it is about this run.
    #[must_use]
    pub fn concerns_run(&self, wanted: Uuid) -> bool {
        matches!(self, Self::Up { run, .. } | Self::Off { run, .. } | Self::Detached { run, .. } if *run == wanted)
    }

    /// Whether it is about this volume.
    #[must_use]
    pub fn concerns_volume(&self, wanted: Uuid) -> bool {
        matches!(self, Self::Created { volume } | Self::Expanded { volume, .. } if *volume == wanted)
    }

    /// Whether it can be taken back while it goes on.
    #[must_use]
    pub const fn is_cancellable(&self) -> bool {
        matches!(
            self,
            Self::Created { .. } | Self::Expanded { .. } | Self::Off { .. } | Self::Detached { .. }
        )
    }
}

/// What the first half of a change decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The second half.
    pub action: Action,
    /// What is answered when it is done.
    pub answer: Value,
}

impl Plan {
    /// A change whose answer carries nothing.
    #[must_use]
    pub fn of(action: Action) -> Self {
        Self {
            action,
            answer: Value::Object(serde_json::Map::new()),
        }
    }
}

/// Work that goes on.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its token: `verb.effect-id`.
    pub token: String,
    /// What it does.
    pub verb: Verb,
    /// Its second half.
    pub plan: Plan,
    /// When it began.
    pub begun_ms: u64,
    /// When it ends; none while it is held.
    pub due_ms: Option<u64>,
}

/// Long work as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its token.
    pub token: String,
    /// When to ask again.
    pub poll_after_ms: u32,
    /// Progress in ten-thousandths.
    pub permyriad: u16,
    /// Whether it can be cancelled.
    pub cancellable: bool,
    /// What is going on.
    pub note: String,
}

impl Job {
    /// As a caller is told of it.
    #[must_use]
    pub fn told(&self, now_ms: u64) -> Told {
        let (poll_after_ms, permyriad) = match self.due_ms {
            None => (POLL_HELD_MS, 0),
            Some(due) => {
                let whole = due.saturating_sub(self.begun_ms).max(1);
                let gone = now_ms.saturating_sub(self.begun_ms).min(whole);
                let left = due.saturating_sub(now_ms).max(1);
                (
                    u32::try_from(left).unwrap_or(u32::MAX),
                    u16::try_from(gone * 10_000 / whole).unwrap_or(10_000),
                )
            }
        };
        Told {
            token: self.token.clone(),
            poll_after_ms,
            permyriad,
            cancellable: self.plan.action.is_cancellable(),
            note: self.verb.note().to_owned(),
        }
    }
}

/// Which transitions are held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Only this verb.
    #[serde(default)]
    pub verb: Option<Verb>,
    /// Only where this name occurs.
    #[serde(default)]
    pub object: Option<String>,
}

/// All work that goes on, in the order in which it began. Thousands may go on at once, and each look at the world first asks
/// what is due, so that both that and a token lead to their jobs at once.
#[derive(Debug, Default)]
pub struct Work {
    jobs: BTreeMap<u64, Job>,
    by_token: HashMap<String, u64>,
    by_due: BTreeSet<(u64, u64)>,
    begun: u64,
    hold: Option<Hold>,
}

impl Work {
    /// Holds transitions that begin from now on.
    pub fn hold(&mut self, hold: Hold) {
        self.hold = Some(hold);
    }

    /// Holds no more; what was held is due.
    pub fn release(&mut self, now_ms: u64) {
        self.hold = None;
        for (number, job) in &mut self.jobs {
            if job.due_ms.is_none() {
                job.due_ms = Some(now_ms);
                self.by_due.insert((now_ms, *number));
            }
        }
    }

    /// Whether a transition is to be held.
    #[must_use]
    pub fn holds(&self, verb: Verb, names: &[String]) -> bool {
        self.hold.as_ref().is_some_and(|hold| {
            hold.verb.is_none_or(|wanted| wanted == verb)
                && hold.object.as_ref().is_none_or(|wanted| names.contains(wanted))
        })
    }

    /// Begins work.
    pub fn begin(&mut self, job: Job) {
        self.begun += 1;
        self.by_token.insert(job.token.clone(), self.begun);
        if let Some(due) = job.due_ms {
            self.by_due.insert((due, self.begun));
        }
        self.jobs.insert(self.begun, job);
    }

    /// Looks at work by its token.
    #[must_use]
    pub fn get(&self, token: &str) -> Option<&Job> {
        self.jobs.get(self.by_token.get(token)?)
    }

    /// Takes out one by its token.
    pub fn take(&mut self, token: &str) -> Option<Job> {
        let number = *self.by_token.get(token)?;
        self.remove(number)
    }

    /// Takes out what is due, the oldest first.
    pub fn take_due(&mut self, now_ms: u64) -> Vec<Job> {
        let due = self.by_due.range(..=(now_ms, u64::MAX));
        let mut numbers: Vec<u64> = due.map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        self.remove_all(&numbers)
    }

    /// Takes out what satisfies a condition, the oldest first, at most `limit`.
    pub fn take_where(&mut self, limit: usize, mut wanted: impl FnMut(&Job) -> bool) -> Vec<Job> {
        let jobs = self.jobs.iter().filter(|(_, job)| wanted(job));
        let numbers: Vec<u64> = jobs.map(|(number, _)| *number).take(limit).collect();
        self.remove_all(&numbers)
    }

    fn remove_all(&mut self, numbers: &[u64]) -> Vec<Job> {
        numbers.iter().filter_map(|number| self.remove(*number)).collect()
    }

    fn remove(&mut self, number: u64) -> Option<Job> {
        let job = self.jobs.remove(&number)?;
        self.by_token.remove(&job.token);
        if let Some(due) = job.due_ms {
            self.by_due.remove(&(due, number));
        }
        Some(job)
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Hold, Job, Plan, Work};
    use crate::verb::Verb;

    fn job(token: &str, due_ms: Option<u64>) -> Job {
        Job {
            token: token.into(),
            verb: Verb::Start,
            plan: Plan::of(Action::Nothing),
            begun_ms: 0,
            due_ms,
        }
    }

    fn tokens(jobs: &[Job]) -> Vec<&str> {
        jobs.iter().map(|job| job.token.as_str()).collect()
    }

    #[test]
    fn what_is_due_ends_in_the_order_in_which_it_began() {
        let mut work = Work::default();
        work.hold(Hold::default());
        for (token, due) in [("a", Some(9)), ("b", Some(3)), ("held", None), ("c", Some(12))] {
            work.begin(job(token, due));
        }
        assert_eq!(work.get("b").map(|job| job.due_ms), Some(Some(3)));
        assert!(work.take_due(2).is_empty());
        assert_eq!(tokens(&work.take_due(9)), ["a", "b"]);
        assert!(work.get("b").is_none() && work.take("b").is_none());
        work.release(10);
        assert_eq!(work.take("c").map(|job| job.due_ms), Some(Some(12)));
        assert_eq!(tokens(&work.take_due(12)), ["held"]);
        assert!(work.iter().next().is_none() && work.take_due(u64::MAX).is_empty());
    }
}
