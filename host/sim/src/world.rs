//! Everything that exists on the far side, and the one way in which it changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    effects::{Effects, Fate},
    gate::{Gate, Stamp},
    image::Image,
    refusal::{Refused, code},
    storage::{Pool, Volume},
    verb::Verb,
    work::{Action, Job, Plan, Told, Work},
};

/// Violations kept: the first ones tell the story, and a test asserts that there is none.
const VIOLATIONS_KEPT: usize = 1_000;
/// Name space of the ids that are derived from names.
const NAMES: Uuid = Uuid::from_u128(0x5652_4c4d_5349_4d00_8000_0000_0000_0001);

/// How large the far side is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Compute hosts in all.
    pub hosts: u32,
    /// Zones that they are spread over.
    pub zones: u32,
    /// Pools of a zone.
    pub pools_per_zone: u32,
    /// Processors of a host.
    pub vcpus: u32,
    /// Memory of a host.
    pub memory_mib: u64,
    /// vCPUs that may run for each processor.
    pub overcommit_vcpus: u32,
    /// MiB that may run for each MiB.
    pub overcommit_memory: u32,
    /// Room of a pool.
    pub pool_gib: u64,
    /// How long long work takes.
    pub latency_ms: u64,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            hosts: 4,
            zones: 1,
            pools_per_zone: 1,
            vcpus: 32,
            memory_mib: 128 * 1024,
            overcommit_vcpus: 16,
            overcommit_memory: 1,
            pool_gib: 64 * 1024,
            latency_ms: 0,
        }
    }
}

/// A disk of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Position.
    pub slot: u16,
    /// The volume.
    pub volume: Uuid,
    /// Its identity, as it was published.
    pub identity: String,
    /// Whether the guest may not write.
    #[serde(default)]
    pub readonly: bool,
}

/// A NIC of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// Position.
    pub slot: u16,
    /// The caller's id.
    pub id: Uuid,
    /// Its MAC address.
    pub mac: String,
    /// What it is plugged into.
    pub link: String,
}

/// What a run is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The incarnation.
    pub generation: u64,
    /// Digest of the whole spec.
    #[serde(default)]
    pub spec_digest: String,
    /// vCPUs.
    pub vcpus: u32,
    /// Memory.
    pub memory_mib: u64,
    /// Disks.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// NICs.
    #[serde(default)]
    pub nics: Vec<Nic>,
    /// Open attributes, kept as they came.
    #[serde(default)]
    pub attrs: Vec<Value>,
}

/// Where a run is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Defined.
    Off,
    /// Its start goes on: it has its room.
    Starting,
    /// It runs.
    Running,
    /// It was asked to end.
    Stopping,
    /// It ended by itself.
    Crashed,
}

impl Phase {
    /// Whether it takes room and holds its disks.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Whose incarnation it is (`Velum-Object` of its definition).
    pub instance: Uuid,
    /// What it is to be.
    pub spec: Spec,
    /// Where it is in its life.
    pub phase: Phase,
}

/// A compute host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Host {
    /// Its zone.
    pub zone: String,
    /// Whether it has power.
    pub on: bool,
    /// How often it booted.
    pub boots: u64,
    /// Reports under this boot.
    pub sequence: u64,
    /// Its runs.
    pub runs: BTreeMap<Uuid, Run>,
}

/// Someone tried what must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// What must not be.
    pub kind: String,
    /// By which verb.
    pub verb: Verb,
    /// Where.
    pub place: String,
    /// In words.
    pub detail: String,
    /// Whether it was refused; today always.
    pub prevented: bool,
}

/// What was counted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Requests by verb.
    pub calls: BTreeMap<Verb, u64>,
    /// Refusals by code.
    pub refusals: BTreeMap<u16, u64>,
    /// Effects asked for again.
    pub replays: u64,
}

/// A change that is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// What.
    pub verb: Verb,
    /// The path it was asked under.
    pub place: String,
    /// Names that faults and holds match: host or pool, run, volume or image, instance.
    pub names: Vec<String>,
}

/// What a change answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It is so.
    Done(Value),
    /// It will be.
    Working(Told),
}

/// The far side.
#[derive(Debug, Serialize, Deserialize)]
pub struct World {
    /// How large it is.
    pub size: Size,
    /// Compute hosts by name.
    pub hosts: BTreeMap<String, Host>,
    /// Pools by name.
    pub pools: BTreeMap<String, Pool>,
    /// Volumes by id, of all pools.
    pub volumes: BTreeMap<Uuid, Volume>,
    /// Images by id.
    pub images: BTreeMap<Uuid, Image>,
    /// The active run of each instance: host and run.
    pub active: BTreeMap<Uuid, (String, Uuid)>,
    /// Who may still act.
    pub gate: Gate,
    /// What was done already.
    pub effects: Effects,
    /// What goes on; settled before the world is kept in a file.
    #[serde(skip)]
    pub work: Work,
    /// What was tried and must not be.
    pub violations: Vec<Violation>,
    /// What was counted.
    pub counters: Counters,
}

impl World {
    /// A new far side, empty but for its machines.
    #[must_use]
    pub fn new(size: Size) -> Self {
        let zones = size.zones.max(1);
        let hosts = (0..size.hosts).map(|n| {
            let zone = format!("z{}", n % zones + 1);
            let name = format!("{zone}-h{:04}", n / zones + 1);
            let host = Host {
                zone,
                on: true,
                boots: 1,
                sequence: 0,
                runs: BTreeMap::new(),
            };
            (name, host)
        });
        let pools = (1..=zones).flat_map(|zone| {
            (1..=size.pools_per_zone.max(1)).map(move |n| (format!("z{zone}-p{n}"), format!("z{zone}")))
        });
        let capacity_bytes = size.pool_gib << 30;
        Self {
            hosts: hosts.collect(),
            pools: pools
                .map(|(name, zone)| (name, Pool::new(zone, capacity_bytes)))
                .collect(),
            volumes: BTreeMap::new(),
            images: BTreeMap::new(),
            active: BTreeMap::new(),
            gate: Gate::default(),
            effects: Effects::default(),
            work: Work::default(),
            violations: Vec::new(),
            counters: Counters::default(),
            size,
        }
    }

    /// Lets everything happen that is due.
    pub fn advance(&mut self, now_ms: u64) {
        for job in self.work.take_due(now_ms) {
            self.finish(job);
        }
    }

    /// Ends work well: its second half happens.
    pub fn finish(&mut self, job: Job) {
        self.apply(job.plan.action);
        self.effects.settle(&job.token, Fate::Done(job.plan.answer));
    }

    /// Makes a change, once: gate, memory of effects, first half, and either the second half or long work.
    ///
    /// # Errors
    /// Whatever the gate or the first half refuses.
    pub fn change(
        &mut self,
        stamp: &Stamp,
        order: &Order,
        now_ms: u64,
        first_half: impl FnOnce(&mut Self) -> Result<Plan, Refused>,
    ) -> Result<Answer, Refused> {
        self.gate.pass(stamp)?;
        let token = format!("{}.{}", order.verb.as_str(), stamp.effect);
        if let Some(answer) = self.again(&token, order, now_ms)? {
            self.counters.replays += 1;
            return Ok(answer);
        }
        let plan = first_half(self)?;
        let held = order.verb.can_be_long() && self.work.holds(order.verb, &order.names);
        let is_long = order.verb.can_be_long() && self.size.latency_ms > 0 && plan.action != Action::Nothing;
        if !held && !is_long {
            self.apply(plan.action);
            self.effects
                .put(&token, &order.place, Fate::Done(plan.answer.clone()));
            return Ok(Answer::Done(plan.answer));
        }
        let job = Job {
            token: token.clone(),
            verb: order.verb,
            plan,
            begun_ms: now_ms,
            due_ms: (!held).then_some(now_ms + self.size.latency_ms),
        };
        let told = job.told(now_ms);
        self.effects.put(&token, &order.place, Fate::Working);
        self.work.begin(job);
        Ok(Answer::Working(told))
    }

    /// What is answered to an effect that acted before; none when it did not, or failed.
    fn again(&mut self, token: &str, order: &Order, now_ms: u64) -> Result<Option<Answer>, Refused> {
        let Some(record) = self.effects.get(token) else {
            return Ok(None);
        };
        if record.place != order.place {
            let detail = format!(
                "{token} acted on {}, now it is to act on {}",
                record.place, order.place
            );
            self.violate("effect-reused", order.verb, &order.place, &detail);
            return Err(Refused::unchanged(code::EXISTS_DIFFERENT, detail));
        }
        match record.fate.clone() {
            Fate::Done(answer) => Ok(Some(Answer::Done(answer))),
            Fate::Working => Ok(self.work.get(token).map(|job| Answer::Working(job.told(now_ms)))),
            Fate::Failed(_) => Ok(None),
        }
    }

    /// How work goes on.
    ///
    /// # Errors
    /// What it failed with; `NOT_FOUND` when the token is not known.
    pub fn poll(&self, token: &str, now_ms: u64) -> Result<Answer, Refused> {
        match self.effects.get(token).map(|record| &record.fate) {
            Some(Fate::Done(answer)) => Ok(Answer::Done(answer.clone())),
            Some(Fate::Failed(refused)) => Err(refused.clone()),
            Some(Fate::Working) => self
                .work
                .get(token)
                .map(|job| Answer::Working(job.told(now_ms)))
                .ok_or_else(|| Refused::not_found(format_args!("work {token}"))),
            None => Err(Refused::not_found(format_args!("work {token}"))),
        }
    }

    /// Ends work and takes back what its first half reserved. Done when it is over already.
    ///
    /// # Errors
    /// The gate; `UNSUPPORTED` when the work cannot be taken back.
    pub fn cancel(&mut self, stamp: &Stamp, token: &str) -> Result<Answer, Refused> {
        self.gate.pass(stamp)?;
        match self.work.get(token) {
            None => return Ok(Answer::Done(json!({}))),
            Some(job) if !job.plan.action.is_cancellable() => {
                return Err(Refused::unchanged(
                    code::UNSUPPORTED,
                    format!("{token} cannot be cancelled"),
                ));
            }
            Some(_) => {}
        }
        let job = self.work.take(token);
        self.abandon(job, "it was cancelled");
        Ok(Answer::Done(json!({})))
    }

    /// Ends work badly.
    pub fn abandon(&mut self, jobs: impl IntoIterator<Item = Job>, why: &str) {
        for job in jobs {
            self.revert(job.plan.action);
            let refused = Refused::unchanged(code::CANCELLED, format!("{}: {why}", job.token));
            self.effects.settle(&job.token, Fate::Failed(refused));
        }
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::Up { host, run } => self.set_phase(&host, run, Phase::Running),
            Action::Off { host, run } => self.set_phase(&host, run, Phase::Off),
            Action::Detached { host, run, slot } => self.unplug(&host, run, slot),
            Action::Attached { host, run, disk } => self.plug(&host, run, disk),
            Action::Removed { host, run } => self.undefine(&host, run),
            Action::Created { volume } => self.set_ready(volume),
            Action::Expanded { .. } | Action::Nothing => {}
            Action::Deleted { volume } => self.forget_volume(volume),
            Action::Published { volume, node, to } => self.connect(volume, node, to),
            Action::Unpublished { volume, node } => self.disconnect(volume, node),
        }
    }

    fn revert(&mut self, action: Action) {
        match action {
            Action::Up { host, run } => self.set_phase(&host, run, Phase::Off),
            Action::Off { host, run } => self.set_phase(&host, run, Phase::Running),
            Action::Created { volume } => self.forget_volume(volume),
            Action::Expanded { volume, from } => self.shrink_back(volume, from),
            _ => {}
        }
    }

    /// Records that someone tried what must not be.
    pub fn violate(&mut self, kind: &str, verb: Verb, place: &str, detail: &str) {
        tracing::warn!(
            kind,
            verb = verb.as_str(),
            place,
            detail,
            "a violation was prevented"
        );
        if self.violations.len() < VIOLATIONS_KEPT {
            self.violations.push(Violation {
                kind: kind.to_owned(),
                verb,
                place: place.to_owned(),
                detail: detail.to_owned(),
                prevented: true,
            });
        }
    }
}

/// An id that follows from a name.
#[must_use]
pub fn id_of(name: &str) -> Uuid {
    Uuid::new_v5(&NAMES, name.as_bytes())
}
