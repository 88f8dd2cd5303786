//! Faults that a test arms: the next calls that match fail, wait, hang, or lose their answer. Each tells how often it hit.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    refusal::{Refused, code},
    verb::Verb,
    world::Order,
};

/// What hangs lets go after this at the latest, so that a forgotten fault does not keep a process.
const HANG_MAX: Duration = Duration::from_secs(3_600);
/// Armed faults at once; each request compares with all of them.
const FAULTS_MAX: usize = 1_000;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It answers an error.
    Fail,
    /// It waits.
    Delay,
    /// It waits until the fault is disarmed.
    Hang,
    /// Its connection ends without an answer.
    Drop,
}

/// On which side of the effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// The effect has not happened.
    Before,
    /// It has.
    After,
}

/// A fault as it is ordered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewFault {
    /// What happens.
    pub kind: Kind,
    /// Only to this verb.
    #[serde(default)]
    pub verb: Option<Verb>,
    /// Only where this name occurs.
    #[serde(default)]
    pub object: Option<String>,
    /// On which side of the effect; `after` for a drop, else `before`.
    #[serde(default)]
    pub when: Option<When>,
    /// How many calls it hits.
    #[serde(default = "one")]
    pub count: u64,
    /// How many matching calls pass first.
    #[serde(default)]
    pub skip: u64,
    /// The code that a failure answers.
    #[serde(default = "failed")]
    pub code: u16,
    /// Whether it claims that nothing changed; by default true before the effect and false after it.
    #[serde(default)]
    pub unchanged: Option<bool>,
    /// How long a delay is.
    #[serde(default)]
    pub delay_ms: u64,
}

fn one() -> u64 {
    1
}
fn failed() -> u16 {
    code::FAILED
}

impl NewFault {
    fn when(&self) -> When {
        let usual = if self.kind == Kind::Drop {
            When::After
        } else {
            When::Before
        };
        self.when.unwrap_or(usual)
    }

    fn matches(&self, order: &Order) -> bool {
        self.verb.is_none_or(|verb| verb == order.verb)
            && self
                .object
                .as_ref()
                .is_none_or(|object| order.names.contains(object))
    }
}

struct Armed {
    order: NewFault,
    hits: watch::Sender<u64>,
    gone: watch::Sender<bool>,
}

/// A fault that hit a call.
pub struct Hit {
    order: NewFault,
    gone: watch::Receiver<bool>,
}

/// What becomes of a call on one side of its effect.
pub enum Verdict {
    /// It goes on.
    Go,
    /// It ends with this.
    Fail(Refused),
    /// Its connection ends.
    Drop,
}

impl Hit {
    /// Waits, and says what becomes of the call on this side of its effect.
    pub async fn strike(&mut self, side: When) -> Verdict {
        if self.order.when() != side {
            return Verdict::Go;
        }
        match self.order.kind {
            Kind::Fail => Verdict::Fail(Refused {
                unchanged: self.order.unchanged.unwrap_or(side == When::Before),
                ..Refused::unchanged(self.order.code, "a fault that a test armed")
            }),
            Kind::Drop => Verdict::Drop,
            Kind::Delay => {
                tokio::time::sleep(Duration::from_millis(self.order.delay_ms)).await;
                Verdict::Go
            }
            Kind::Hang => {
                let disarmed = self.gone.wait_for(|gone| *gone);
                // Either way the call goes on: who hung it up has given up, or the bound was reached.
                tokio::time::timeout(HANG_MAX, disarmed).await.map(drop).ok();
                Verdict::Go
            }
        }
    }
}

/// All armed faults.
#[derive(Default)]
pub struct Faults {
    armed: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last: u64,
    faults: BTreeMap<u64, Arc<Armed>>,
    counts: BTreeMap<u64, u64>,
}

impl Faults {
    /// Arms a fault; answers its number.
    ///
    /// # Errors
    /// `EXHAUSTED` when too many are armed.
    pub fn arm(&self, order: NewFault) -> Result<u64, Refused> {
        let mut table = self.lock();
        if table.faults.len() >= FAULTS_MAX {
            return Err(Refused::unchanged(
                code::EXHAUSTED,
                format!("{FAULTS_MAX} faults are armed"),
            ));
        }
        table.last += 1;
        let id = table.last;
        let armed = Armed {
            order,
            hits: watch::Sender::new(0),
            gone: watch::Sender::new(false),
        };
        table.counts.insert(id, 0);
        table.faults.insert(id, Arc::new(armed));
        Ok(id)
    }

    /// The fault that hits a call, if one does. The oldest that matches and is not used up wins.
    pub fn take(&self, order: &Order) -> Option<Hit> {
        let mut table = self.lock();
        let Table { faults, counts, .. } = &mut *table;
        for (id, armed) in faults.iter() {
            if !armed.order.matches(order) || *armed.hits.borrow() >= armed.order.count {
                continue;
            }
            let passed = counts.entry(*id).or_default();
            if *passed < armed.order.skip {
                *passed += 1;
                continue;
            }
            armed.hits.send_modify(|hits| *hits += 1);
            return Some(Hit {
                order: armed.order.clone(),
                gone: armed.gone.subscribe(),
            });
        }
        None
    }

    /// All of them, with their hits.
    #[must_use]
    pub fn list(&self) -> Vec<Value> {
        let table = self.lock();
        table.faults.iter().map(|(id, armed)| told(*id, armed)).collect()
    }

    /// One of them; waits for its first hit.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub async fn wait(&self, id: u64, wait: Duration) -> Result<Value, Refused> {
        let found = self.lock().faults.get(&id).cloned();
        let armed = found.ok_or_else(|| Refused::not_found(format_args!("fault {id}")))?;
        let mut hits = armed.hits.subscribe();
        // A timeout is an answer too: it shows no hit.
        tokio::time::timeout(wait, hits.wait_for(|hits| *hits > 0))
            .await
            .map(drop)
            .ok();
        Ok(told(id, &armed))
    }

    /// Disarms one or all and lets go of what hangs.
    pub fn disarm(&self, id: Option<u64>) {
        let mut table = self.lock();
        let Table { faults, counts, .. } = &mut *table;
        faults.retain(|known, armed| {
            let goes = id.is_none_or(|id| id == *known);
            if goes {
                armed.gone.send_replace(true);
                counts.remove(known);
            }
            !goes
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(id: u64, armed: &Armed) -> Value {
    json!({"id": id, "hits": *armed.hits.borrow(), "fault": armed.order})
}
