//! Compute hosts and their runs.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    gate::Stamp,
    refusal::{Refused, code},
    work::{Action, Plan},
    world::{Disk, Host, Order, Phase, Run, Spec, World, id_of},
};

/// The most that a page holds: a node's guests in one round trip.
pub const PAGE_MAX: usize = 1_000;

/// The name under which storage sees a host.
#[must_use]
pub fn initiator_of(host: &str) -> String {
    format!("iqn.2026-01.cloud.velum.sim:{host}")
}

impl World {
    /// A host that answers.
    ///
    /// # Errors
    /// `NOT_FOUND`; `UNREACHABLE` without power.
    pub fn host(&self, name: &str) -> Result<&Host, Refused> {
        let host = self
            .hosts
            .get(name)
            .ok_or_else(|| Refused::not_found(format_args!("host {name}")))?;
        if host.on {
            Ok(host)
        } else {
            Err(Refused::unchanged(
                code::UNREACHABLE,
                format!("host {name} does not answer"),
            ))
        }
    }

    fn run(&self, host: &str, run: Uuid) -> Result<&Run, Refused> {
        self.host(host)?
            .runs
            .get(&run)
            .ok_or_else(|| Refused::not_found(format_args!("run {run} on {host}")))
    }

    /// What a host is.
    ///
    /// # Errors
    /// `NOT_FOUND`, `UNREACHABLE`.
    pub fn facts(&self, name: &str) -> Result<Value, Refused> {
        let host = self.host(name)?;
        Ok(json!({
            "host": name, "zone": host.zone, "boot_id": boot_id(name, host.boots),
            "vcpus": self.size.vcpus, "memory_mib": self.size.memory_mib, "arch": 1, "cpu_baseline": "sim-v1",
            "hypervisor": concat!("velum-sim ", env!("CARGO_PKG_VERSION")), "kvm": false,
            "initiators": [{"kind": 1, "value": initiator_of(name)}],
        }))
    }

    /// Defines a run or brings it to a spec.
    ///
    /// # Errors
    /// `INVALID` values, `BUSY` when it runs with another spec, `EXISTS_DIFFERENT` when it is another instance's.
    pub fn ensure(&mut self, stamp: &Stamp, host: &str, run: Uuid, spec: Spec) -> Result<Plan, Refused> {
        check(&spec)?;
        match self.host(host)?.runs.get(&run) {
            Some(known) if known.instance != stamp.object => {
                let detail = format!("run {run} is an incarnation of {}", known.instance);
                return Err(Refused::unchanged(code::EXISTS_DIFFERENT, detail));
            }
            Some(known) if known.spec == spec => return Ok(Plan::of(Action::Nothing)),
            Some(known) if known.phase.is_active() => {
                return Err(Refused::unchanged(
                    code::BUSY,
                    format!("run {run} runs with another spec"),
                ));
            }
            _ => {}
        }
        let run_row = Run {
            instance: stamp.object,
            spec,
            phase: Phase::Off,
        };
        if let Some(host) = self.hosts.get_mut(host) {
            host.runs.insert(run, run_row);
        }
        Ok(Plan::of(Action::Nothing))
    }

    /// Begins a start: room, one run an instance, disks that this host reaches.
    ///
    /// # Errors
    /// `EXHAUSTED`, `EXISTS_DIFFERENT` for a second run, `INVALID` for a disk that is not published here.
    pub fn start(&mut self, order: &Order, host: &str, run: Uuid) -> Result<Plan, Refused> {
        let known = self.run(host, run)?.clone();
        let up = Action::Up {
            host: host.to_owned(),
            run,
        };
        match known.phase {
            Phase::Running => return Ok(Plan::of(Action::Nothing)),
            Phase::Starting => return Ok(Plan::of(up)),
            Phase::Stopping => {
                return Err(Refused::unchanged(
                    code::BUSY,
                    format!("run {run} is shutting down"),
                ));
            }
            Phase::Off | Phase::Crashed => {}
        }
        self.check_single_run(order, known.instance, run)?;
        self.check_room(order, host, &known.spec)?;
        for disk in &known.spec.disks {
            self.check_disk(order, host, run, disk)?;
        }
        self.set_phase(host, run, Phase::Starting);
        Ok(Plan::of(up))
    }

    fn check_single_run(&mut self, order: &Order, instance: Uuid, run: Uuid) -> Result<(), Refused> {
        let Some((host, other)) = self.active.get(&instance).filter(|(_, other)| *other != run) else {
            return Ok(());
        };
        let detail = format!("instance {instance} runs already as {other} on {host}");
        self.violate("double-run", order.verb, &order.place, &detail);
        Err(Refused::unchanged(code::EXISTS_DIFFERENT, detail))
    }

    fn check_room(&mut self, order: &Order, name: &str, spec: &Spec) -> Result<(), Refused> {
        let (vcpus, memory_mib) = used(self.host(name)?);
        let vcpus_limit = u64::from(self.size.vcpus) * u64::from(self.size.overcommit_vcpus);
        let memory_limit = self.size.memory_mib * u64::from(self.size.overcommit_memory);
        let wants = (vcpus + u64::from(spec.vcpus), memory_mib + spec.memory_mib);
        if wants.0 <= vcpus_limit && wants.1 <= memory_limit {
            return Ok(());
        }
        let detail = format!(
            "{name} would have to give {} of {vcpus_limit} vCPUs and {} of {memory_limit} MiB",
            wants.0, wants.1
        );
        self.violate("over-capacity", order.verb, &order.place, &detail);
        Err(Refused::unchanged(code::EXHAUSTED, detail))
    }

    fn check_disk(&mut self, order: &Order, host: &str, run: Uuid, disk: &Disk) -> Result<(), Refused> {
        let problem = self.reach(host, disk).err();
        if let Some(detail) = problem {
            self.violate("unpublished-disk", order.verb, &order.place, &detail);
            return Err(Refused::invalid(detail));
        }
        if disk.readonly {
            return Ok(());
        }
        let Some((other, at)) = self.writer_of(disk.volume, run) else {
            return Ok(());
        };
        let detail = format!("volume {} is written by run {other} on {at}", disk.volume);
        self.violate("double-writer", order.verb, &order.place, &detail);
        Err(Refused::unchanged(code::BUSY, detail))
    }

    /// Another active run that writes a volume: it must be on a host that the volume is published to.
    fn writer_of(&self, volume: Uuid, except: Uuid) -> Option<(Uuid, String)> {
        let places = self.volumes.get(&volume)?.publications.values();
        places.map(|publication| &publication.host).find_map(|host| {
            let writes = |(id, run): &(&Uuid, &Run)| {
                **id != except
                    && run.phase.is_active()
                    && run
                        .spec
                        .disks
                        .iter()
                        .any(|disk| disk.volume == volume && !disk.readonly)
            };
            let (id, _) = self.hosts.get(host)?.runs.iter().find(writes)?;
            Some((*id, host.clone()))
        })
    }

    /// Begins a graceful end. Off or unknown is off.
    ///
    /// # Errors
    /// `UNREACHABLE`, `NOT_FOUND` of the host.
    pub fn shutdown(&mut self, host: &str, run: Uuid) -> Result<Plan, Refused> {
        let phase = self.host(host)?.runs.get(&run).map(|run| run.phase);
        if !phase.is_some_and(Phase::is_active) {
            return Ok(Plan::of(Action::Nothing));
        }
        self.give_up(run, "the run is shut down");
        self.set_phase(host, run, Phase::Stopping);
        Ok(Plan::of(Action::Off {
            host: host.to_owned(),
            run,
        }))
    }

    /// Ends a run at once.
    ///
    /// # Errors
    /// `UNREACHABLE`, `NOT_FOUND` of the host.
    pub fn kill(&mut self, host: &str, run: Uuid) -> Result<Plan, Refused> {
        if !self.host(host)?.runs.contains_key(&run) {
            return Ok(Plan::of(Action::Nothing));
        }
        self.give_up(run, "the run was killed");
        Ok(Plan::of(Action::Off {
            host: host.to_owned(),
            run,
        }))
    }

    /// Begins a restart of a guest that runs.
    ///
    /// # Errors
    /// `NOT_FOUND`; `BUSY` when it does not run.
    pub fn reboot(&mut self, host: &str, run: Uuid) -> Result<Plan, Refused> {
        if self.run(host, run)?.phase != Phase::Running {
            return Err(Refused::unchanged(code::BUSY, format!("run {run} does not run")));
        }
        self.set_phase(host, run, Phase::Starting);
        Ok(Plan::of(Action::Up {
            host: host.to_owned(),
            run,
        }))
    }

    /// Undefines a run that is off.
    ///
    /// # Errors
    /// `BUSY` while it runs.
    pub fn remove(&mut self, host: &str, run: Uuid) -> Result<Plan, Refused> {
        match self.host(host)?.runs.get(&run) {
            None => Ok(Plan::of(Action::Nothing)),
            Some(known) if known.phase.is_active() => {
                Err(Refused::unchanged(code::BUSY, format!("run {run} is not off")))
            }
            Some(_) => Ok(Plan::of(Action::Removed {
                host: host.to_owned(),
                run,
            })),
        }
    }

    /// Gives a run a disk.
    ///
    /// # Errors
    /// `EXISTS_DIFFERENT` when the slot has another; what a start says of its disks.
    pub fn attach(&mut self, order: &Order, host: &str, run: Uuid, disk: Disk) -> Result<Plan, Refused> {
        let known = self.run(host, run)?;
        let there = known.spec.disks.iter().find(|other| other.slot == disk.slot);
        match there {
            Some(other) if *other == disk => return Ok(Plan::of(Action::Nothing)),
            Some(other) => {
                let detail = format!("slot {} of run {run} holds volume {}", disk.slot, other.volume);
                return Err(Refused::unchanged(code::EXISTS_DIFFERENT, detail));
            }
            None => {}
        }
        if known.phase.is_active() {
            self.check_disk(order, host, run, &disk)?;
        }
        Ok(Plan::of(Action::Attached {
            host: host.to_owned(),
            run,
            disk,
        }))
    }

    /// Begins to take a disk from a run.
    ///
    /// # Errors
    /// `NOT_FOUND`, `UNREACHABLE` of the host.
    pub fn detach(&mut self, host: &str, run: Uuid, slot: u16) -> Result<Plan, Refused> {
        let known = self.host(host)?.runs.get(&run);
        if !known.is_some_and(|known| known.spec.disks.iter().any(|disk| disk.slot == slot)) {
            return Ok(Plan::of(Action::Nothing));
        }
        Ok(Plan::of(Action::Detached {
            host: host.to_owned(),
            run,
            slot,
        }))
    }

    /// What is seen of a run.
    ///
    /// # Errors
    /// `NOT_FOUND` when it is not defined there.
    pub fn observe_run(&self, host: &str, run: Uuid) -> Result<Value, Refused> {
        Ok(seen(host, run, self.run(host, run)?))
    }

    /// A page of what is seen on a host; each is a report of its own.
    ///
    /// # Errors
    /// `NOT_FOUND`, `UNREACHABLE`.
    pub fn observe(&mut self, name: &str, after: Option<Uuid>, limit: usize) -> Result<Value, Refused> {
        self.host(name)?;
        let Some(host) = self.hosts.get_mut(name) else {
            return Err(Refused::not_found(format_args!("host {name}")));
        };
        host.sequence += 1;
        let (page, next) = page_of(&host.runs, after, limit);
        let runs: Vec<Value> = page.iter().map(|(id, run)| seen(name, **id, run)).collect();
        Ok(json!({
            "boot_id": boot_id(name, host.boots), "sequence": host.sequence, "complete": true,
            "runs": runs, "next": next,
        }))
    }

    /// Takes a host's power or gives it back.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub fn power(&mut self, name: &str, on: bool) -> Result<(), Refused> {
        let host = self
            .hosts
            .get_mut(name)
            .ok_or_else(|| Refused::not_found(format_args!("host {name}")))?;
        if host.on == on {
            return Ok(());
        }
        host.on = on;
        if on {
            host.boots += 1;
            host.sequence = 0;
        }
        let runs: Vec<Uuid> = host.runs.keys().copied().collect();
        for run in runs {
            self.give_up(run, "the host lost power");
            self.set_phase(name, run, Phase::Off);
        }
        Ok(())
    }

    /// The guest ends by itself.
    ///
    /// # Errors
    /// `NOT_FOUND` when it is defined nowhere.
    pub fn crash(&mut self, run: Uuid) -> Result<(), Refused> {
        let place = self.hosts.iter().find(|(_, host)| host.runs.contains_key(&run));
        let name = place
            .map(|(name, _)| name.clone())
            .ok_or_else(|| Refused::not_found(format_args!("run {run}")))?;
        self.give_up(run, "the guest crashed");
        self.set_phase(&name, run, Phase::Crashed);
        Ok(())
    }

    fn give_up(&mut self, run: Uuid, why: &str) {
        let jobs = self
            .work
            .take_where(usize::MAX, |job| job.plan.action.concerns_run(run));
        self.abandon(jobs, why);
    }

    /// The one place where a run's phase changes: the index of active runs follows it.
    pub fn set_phase(&mut self, host: &str, id: Uuid, phase: Phase) {
        let Some(run) = self.hosts.get_mut(host).and_then(|host| host.runs.get_mut(&id)) else {
            return;
        };
        run.phase = phase;
        if phase.is_active() {
            self.active.insert(run.instance, (host.to_owned(), id));
        } else if self
            .active
            .get(&run.instance)
            .is_some_and(|(_, active)| *active == id)
        {
            self.active.remove(&run.instance);
        }
    }

    /// The disk is there.
    pub fn plug(&mut self, host: &str, run: Uuid, disk: Disk) {
        if let Some(run) = self.hosts.get_mut(host).and_then(|host| host.runs.get_mut(&run)) {
            run.spec.disks.push(disk);
            run.spec.disks.sort_by_key(|disk| disk.slot);
        }
    }

    /// The disk is gone.
    pub fn unplug(&mut self, host: &str, run: Uuid, slot: u16) {
        if let Some(run) = self.hosts.get_mut(host).and_then(|host| host.runs.get_mut(&run)) {
            run.spec.disks.retain(|disk| disk.slot != slot);
        }
    }

    /// The run is gone.
    pub fn undefine(&mut self, host: &str, run: Uuid) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.runs.remove(&run);
        }
    }

    /// The active run on a host that uses a volume.
    #[must_use]
    pub fn user_of(&self, host: &str, volume: Uuid) -> Option<Uuid> {
        let runs = &self.hosts.get(host)?.runs;
        let uses =
            |run: &Run| run.phase.is_active() && run.spec.disks.iter().any(|disk| disk.volume == volume);
        runs.iter().find(|(_, run)| uses(run)).map(|(id, _)| *id)
    }
}

fn check(spec: &Spec) -> Result<(), Refused> {
    if spec.vcpus == 0 || spec.memory_mib == 0 {
        return Err(Refused::invalid("a run has at least one vCPU and one MiB"));
    }
    let mut slots: Vec<u16> = spec.disks.iter().map(|disk| disk.slot).collect();
    slots.sort_unstable();
    if slots.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Refused::invalid("two disks have the same slot"));
    }
    Ok(())
}

/// vCPUs and memory of a host's active runs.
#[must_use]
pub fn used(host: &Host) -> (u64, u64) {
    let active = host.runs.values().filter(|run| run.phase.is_active());
    active.fold((0, 0), |(vcpus, memory), run| {
        (vcpus + u64::from(run.spec.vcpus), memory + run.spec.memory_mib)
    })
}

fn boot_id(host: &str, boots: u64) -> Uuid {
    id_of(&format!("{host} boot {boots}"))
}

/// A run as an observer is told of it.
#[must_use]
pub fn seen(host: &str, id: Uuid, run: &Run) -> Value {
    let state = match run.phase {
        Phase::Off | Phase::Starting => 1,
        Phase::Running => 2,
        Phase::Stopping => 4,
        Phase::Crashed => 5,
    };
    let disks: Vec<(u16, &str)> = run
        .spec
        .disks
        .iter()
        .map(|d| (d.slot, d.identity.as_str()))
        .collect();
    json!({
        "run": id, "node": host, "state": state, "reason": 0, "generation": run.spec.generation,
        "spec_digest": run.spec.spec_digest, "disks": disks, "instance": run.instance,
    })
}

/// Entries of a map after a key, and where the next page begins.
#[must_use]
pub fn page_of<V>(
    map: &BTreeMap<Uuid, V>,
    after: Option<Uuid>,
    limit: usize,
) -> (Vec<(&Uuid, &V)>, Option<Uuid>) {
    let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
    let limit = limit.clamp(1, PAGE_MAX);
    let mut page: Vec<_> = map
        .range((from, std::ops::Bound::Unbounded))
        .take(limit + 1)
        .collect();
    let has_more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| has_more).map(|(id, _)| **id);
    (page, next)
}
