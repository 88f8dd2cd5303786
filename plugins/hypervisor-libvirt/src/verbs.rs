//! What the contract's verbs do with libvirt, over traits so that a native test can be libvirt.

use velum_guest::{
    codes::{fault, libvirt as act},
    common::{Attrs as _, Fault, Outcome},
    connect::libvirt::{DomainStats, Facts, StatsPage},
    driver::{Disk, GuestSpec, Inventory, NodeFacts, Observed, Place, code},
};

use crate::{
    domain::{self, Tag},
    settings::Settings,
};

/// How soon a guest that was asked to do something is looked at again: guests take seconds.
const LOOK_AGAIN_MS: u32 = 500;
/// Token of the work of a shutdown.
const SHUTDOWN: &str = "shutdown";
/// Token of the work of a detachment, before the slot.
const DETACH: &str = "detach-disk:";
/// libvirt's own name of the first serial device of a QEMU domain.
const SERIAL_ALIAS: &str = "serial0";

/// A connection to libvirt, for one call.
pub trait Libvirt {
    /// Its domains.
    type Domain: Domain;
    /// What the machine is.
    fn facts(&self) -> Result<Facts, Fault>;
    /// Every domain of ours.
    fn stats(&self, after: Option<&str>) -> Result<StatsPage, Fault>;
    /// The domain of this call's run.
    fn domain(&self) -> Result<Option<Self::Domain>, Fault>;
    /// Defines it.
    fn define(&self, xml: &str) -> Result<Self::Domain, Fault>;
}

/// The domain of the call's run.
pub trait Domain {
    /// What it is doing.
    fn stats(&self) -> Result<DomainStats, Fault>;
    /// Does one of `codes::libvirt`.
    fn act(&self, verb: u16) -> Result<(), Fault>;
    /// Gives it a device.
    fn attach(&self, xml: &str, live: bool) -> Result<(), Fault>;
    /// Takes a device.
    fn detach(&self, alias: &str, live: bool) -> Result<(), Fault>;
}

/// Whether a guest in this state holds its devices.
const fn is_live(state: u16) -> bool {
    matches!(
        state,
        code::STATE_RUNNING | code::STATE_PAUSED | code::STATE_STOPPING
    )
}

fn absent() -> Fault {
    Fault::not_found("the run has no domain here")
}

/// What the compute host is.
pub fn probe(far: &impl Libvirt) -> Result<NodeFacts, Fault> {
    let facts = far.facts()?;
    Ok(NodeFacts {
        node: facts.hostname,
        boot_id: facts.boot_id,
        vcpus: facts.vcpus,
        memory_mib: facts.memory_mib,
        arch: facts.arch,
        cpu_baseline: facts.cpu_baseline,
        initiators: facts.initiators,
        devices: Vec::new(),
        attrs: facts.attrs,
    })
}

fn define<L: Libvirt>(far: &L, settings: &Settings, tag: &Tag, spec: &GuestSpec) -> Result<L::Domain, Fault> {
    let hypervisor = settings.hypervisor(|| Ok(far.facts()?.attrs.flag(code::FACT_KVM).unwrap_or(false)))?;
    far.define(&domain::render(tag, spec, hypervisor)?)
}

/// Defines the run.
pub fn ensure(
    far: &impl Libvirt,
    settings: &Settings,
    tag: &Tag,
    spec: &GuestSpec,
) -> Result<Outcome, Fault> {
    define(far, settings, tag, spec)?;
    Ok(Outcome::done())
}

/// Starts it; defines it first if it is not.
pub fn start(far: &impl Libvirt, settings: &Settings, tag: &Tag, spec: &GuestSpec) -> Result<Outcome, Fault> {
    let domain = match far.domain()? {
        Some(domain) => domain,
        None => define(far, settings, tag, spec)?,
    };
    match domain.stats()?.state {
        code::STATE_RUNNING => {}
        code::STATE_PAUSED => domain.act(act::ACT_RESUME)?,
        _ => domain.act(act::ACT_START)?,
    }
    Ok(Outcome::done())
}

fn is_off(far: &impl Libvirt) -> Result<bool, Fault> {
    match far.domain()? {
        None => Ok(true),
        Some(domain) => Ok(matches!(
            domain.stats()?.state,
            code::STATE_OFF | code::STATE_CRASHED
        )),
    }
}

fn shutting_down() -> Outcome {
    Outcome::working(SHUTDOWN, LOOK_AGAIN_MS, "waiting for the guest to shut down")
}

/// Asks it to shut down.
pub fn shutdown(far: &impl Libvirt) -> Result<Outcome, Fault> {
    if is_off(far)? {
        return Ok(Outcome::done());
    }
    far.domain()?.ok_or_else(absent)?.act(act::ACT_SHUTDOWN)?;
    Ok(if is_off(far)? {
        Outcome::done()
    } else {
        shutting_down()
    })
}

/// Turns it off.
pub fn kill(far: &impl Libvirt) -> Result<Outcome, Fault> {
    if let Some(domain) = far.domain()? {
        domain.act(act::ACT_DESTROY)?;
    }
    Ok(Outcome::done())
}

/// Restarts it.
pub fn reboot(far: &impl Libvirt, hard: bool) -> Result<Outcome, Fault> {
    let domain = far.domain()?.ok_or_else(absent)?;
    if !is_live(domain.stats()?.state) {
        return Err(Fault::invalid("the guest is off: there is nothing to reboot"));
    }
    domain.act(if hard { act::ACT_RESET } else { act::ACT_REBOOT })?;
    Ok(Outcome::done())
}

/// Undefines it.
pub fn remove(far: &impl Libvirt) -> Result<Outcome, Fault> {
    if let Some(domain) = far.domain()? {
        if is_live(domain.stats()?.state) {
            domain.act(act::ACT_DESTROY)?;
        }
        domain.act(act::ACT_UNDEFINE)?;
    }
    Ok(Outcome::done())
}

fn observed(node: &str, stats: DomainStats) -> Observed {
    Observed {
        run_id: stats.run_id,
        node: node.to_owned(),
        state: stats.state,
        reason: stats.reason,
        generation: stats.generation,
        spec_digest: stats.spec_digest,
        disks: stats.disks,
        attrs: Vec::new(),
    }
}

/// A page of all runs. `node` is what each is said to be on: libvirt has one machine.
pub fn observe(far: &impl Libvirt, node: &str, after: Option<&str>) -> Result<Inventory, Fault> {
    let page = far.stats(after)?;
    Ok(Inventory {
        boot_id: page.boot_id,
        sequence: page.sequence,
        complete: page.complete,
        runs: page
            .domains
            .into_iter()
            .map(|stats| observed(node, stats))
            .collect(),
        next: page.next,
    })
}

/// One run.
pub fn observe_run(far: &impl Libvirt, node: &str) -> Result<Option<Observed>, Fault> {
    far.domain()?
        .map(|domain| Ok(observed(node, domain.stats()?)))
        .transpose()
}

/// How long work goes on.
pub fn poll(far: &impl Libvirt, token: &str) -> Result<Outcome, Fault> {
    if token == SHUTDOWN {
        return Ok(if is_off(far)? {
            Outcome::done()
        } else {
            shutting_down()
        });
    }
    match token.strip_prefix(DETACH).and_then(|slot| slot.parse().ok()) {
        Some(slot) => detach_disk(far, slot),
        None => Err(Fault::invalid(format!("{token:?} is no token of this driver"))),
    }
}

/// Ends long work: none of it can be ended.
pub fn cancel(token: &str) -> Result<Outcome, Fault> {
    Err(Fault::unsupported(format!(
        "{token:?} cannot be cancelled: the guest has been asked already"
    )))
}

/// Gives it a disk.
pub fn attach_disk(far: &impl Libvirt, disk: &Disk) -> Result<Outcome, Fault> {
    let domain = far.domain()?.ok_or_else(absent)?;
    let seen = domain.stats()?;
    match seen.disks.iter().find(|(slot, _)| *slot == disk.slot) {
        Some((_, identity)) if *identity != disk.attachment.identity => Err(Fault::unchanged(
            fault::EXISTS_DIFFERENT,
            format!("slot {} holds the disk {identity}", disk.slot),
        )),
        _ => {
            domain.attach(&domain::render_disk(disk)?, is_live(seen.state))?;
            Ok(Outcome::done())
        }
    }
}

/// Takes the disk of a slot.
pub fn detach_disk(far: &impl Libvirt, slot: u16) -> Result<Outcome, Fault> {
    let Some(domain) = far.domain()? else {
        return Ok(Outcome::done());
    };
    let live = is_live(domain.stats()?.state);
    match domain.detach(&domain::disk_alias(slot), live) {
        Ok(()) => Ok(Outcome::done()),
        Err(held) if held.code == fault::BUSY => Ok(Outcome::working(
            format!("{DETACH}{slot}"),
            held.retry_after_ms.unwrap_or(LOOK_AGAIN_MS),
            "waiting for the guest to let go of the disk",
        )),
        Err(other) => Err(other),
    }
}

/// Where a console is.
pub fn locate(far: &impl Libvirt, kind: u16) -> Result<Place, Fault> {
    if kind != code::CONSOLE_SERIAL {
        return Err(Fault::unsupported(format!(
            "console kind {kind}; guests have a serial console (1)"
        )));
    }
    far.domain()?.ok_or_else(absent)?;
    Ok(Place {
        kind,
        via: code::CONSOLE_VIA_DOMAIN,
        locator: SERIAL_ALIAS.to_owned(),
        attrs: Vec::new(),
    })
}
