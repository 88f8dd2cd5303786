//! What compute hosts do with guests, seeds and links.

use std::collections::BTreeMap;

use uuid::Uuid;
use velum_model::{
    fault::{Fault, code},
    port::hypervisor::{Disk, GuestSpec, Observed, RunHandle, registry},
};

use super::{Answer, Guest, State};

fn absent() -> Fault {
    Fault::unchanged(code::NOT_FOUND, "no such guest")
}

impl State {
    pub(super) fn define(
        &mut self,
        host: Uuid,
        instance: Uuid,
        run: Uuid,
        spec: &GuestSpec,
    ) -> Result<Answer, Fault> {
        let disks: BTreeMap<u16, Uuid> = spec.disks.iter().map(|d| (d.slot, d.volume)).collect();
        for volume in disks.values() {
            if !self.published.contains(&(*volume, host)) {
                let fault = Fault::unchanged(code::INVALID, format!("volume {volume} is not reached"));
                return Err(fault);
            }
        }
        self.guests.entry(run).or_insert(Guest {
            host,
            instance,
            is_on: false,
            polls: 0,
            disks,
        });
        Ok(Answer::Done(Vec::new()))
    }

    pub(super) fn start(&mut self, run: Uuid) -> Result<Answer, Fault> {
        let guest = self.guests.get(&run).cloned().ok_or_else(absent)?;
        for (other, there) in &self.guests {
            if *other == run || !there.is_on {
                continue;
            }
            if there.instance == guest.instance {
                let what = format!("instance {} runs twice: {run} and {other}", guest.instance);
                self.violations.push(what);
            }
            if let Some(volume) = there
                .disks
                .values()
                .find(|v| guest.disks.values().any(|w| w == *v))
            {
                self.violations
                    .push(format!("volume {volume} is written by {run} and {other}"));
            }
        }
        for volume in guest.disks.values() {
            if !self.published.contains(&(*volume, guest.host)) {
                self.violations
                    .push(format!("guest {run} was started without its volume {volume}"));
            }
        }
        if let Some(guest) = self.guests.get_mut(&run) {
            guest.is_on = true;
        }
        Ok(Answer::Done(Vec::new()))
    }

    /// The guest needs two polls to go off.
    pub(super) fn shut_down(&mut self, run: Uuid) -> Result<Answer, Fault> {
        let guest = self.guests.get_mut(&run).ok_or_else(absent)?;
        if guest.is_on {
            guest.polls = 2;
            return Ok(Answer::Working(format!("shutdown/{run}")));
        }
        Ok(Answer::Done(Vec::new()))
    }

    pub(super) fn poll_guest(&mut self, run: Uuid, token: &str) -> Result<Answer, Fault> {
        let guest = self.guests.get_mut(&run).ok_or_else(absent)?;
        guest.polls = guest.polls.saturating_sub(1);
        if guest.polls > 0 {
            return Ok(Answer::Working(token.to_owned()));
        }
        guest.is_on = false;
        Ok(Answer::Done(Vec::new()))
    }

    pub(super) fn kill(&mut self, run: Uuid) -> Result<Answer, Fault> {
        self.guests.get_mut(&run).ok_or_else(absent)?.is_on = false;
        Ok(Answer::Done(Vec::new()))
    }

    pub(super) fn reboot(&mut self, run: Uuid) -> Result<Answer, Fault> {
        match self.guests.get(&run) {
            Some(guest) if guest.is_on => Ok(Answer::Done(Vec::new())),
            Some(_) => Err(Fault::unchanged(code::INVALID, "it is off")),
            None => Err(absent()),
        }
    }

    pub(super) fn undefine(&mut self, run: Uuid) -> Result<Answer, Fault> {
        match self.guests.get(&run) {
            Some(guest) if guest.is_on => Err(Fault::unchanged(code::BUSY, "it runs")),
            Some(_) => {
                self.guests.remove(&run);
                Ok(Answer::Done(Vec::new()))
            }
            None => Err(absent()),
        }
    }

    pub(super) fn plug(&mut self, host: Uuid, run: Uuid, disk: &Disk) -> Result<Answer, Fault> {
        if !self.published.contains(&(disk.volume, host)) {
            return Err(Fault::unchanged(code::INVALID, "the volume is not reached"));
        }
        let guest = self.guests.get_mut(&run).ok_or_else(absent)?;
        match guest.disks.get(&disk.slot) {
            Some(volume) if *volume != disk.volume => {
                return Err(Fault::unchanged(code::EXISTS_DIFFERENT, "the slot is taken"));
            }
            _ => guest.disks.insert(disk.slot, disk.volume),
        };
        Ok(Answer::Done(Vec::new()))
    }

    pub(super) fn unplug(&mut self, run: Uuid, slot: u16) -> Result<Answer, Fault> {
        self.guests.get_mut(&run).ok_or_else(absent)?.disks.remove(&slot);
        Ok(Answer::Done(Vec::new()))
    }

    /// What is seen of a guest on a compute host.
    pub(super) fn observed(&self, host: Uuid, run: RunHandle) -> Option<Observed> {
        let guest = self.guests.get(&run.id.uuid()).filter(|g| g.host == host)?;
        Some(Observed {
            run: run.id,
            node: host.to_string(),
            state: if guest.is_on {
                registry::STATE_RUNNING
            } else {
                registry::STATE_OFF
            },
            reason: 0,
            generation: run.generation,
            spec_digest: String::new(),
            disks: Vec::new(),
            attrs: Vec::new(),
        })
    }
}
