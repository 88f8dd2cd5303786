//! A hypervisor driver that keeps every rule of the conformance suite but the one that `flaw` of its target's settings
//! names. Each flaw is what a case of `tests/conformance/hypervisor-driver` must catch. Its guests are rows in the `state`
//! connector, so that it needs no far side.

mod disks;
mod verbs;
mod world;

use velum_guest::{
    codes::storage,
    common::{Attrs as _, Effect, Fault, Outcome, Run as Handle, Target},
    driver::{Descriptor, Devices, Disk, Driver, GuestSpec, Inventory, NodeFacts, Observed, code},
};

use crate::world::{Place, counted, remembered};

/// The driver.
#[derive(Debug)]
pub struct Flawed;

impl Driver for Flawed {
    fn describe() -> Descriptor {
        let flaw = remembered();
        let version = match flaw.as_str() {
            "describe-changes" => format!("{}-{}", env!("CARGO_PKG_VERSION"), counted()),
            _ => env!("CARGO_PKG_VERSION").to_owned(),
        };
        let name = match flaw.as_str() {
            "nameless" => "somebody-else",
            _ => env!("CARGO_PKG_NAME"),
        };
        Descriptor {
            name: name.to_owned(),
            version,
            attachment_kinds: vec![storage::ATTACH_SIMULATED],
            nic_kinds: vec![code::NIC_SIMULATED],
            console_kinds: Vec::new(),
            features: Vec::new(),
            attrs: Vec::new(),
        }
    }

    fn probe(node: &Target) -> Result<Vec<NodeFacts>, Fault> {
        let mut place = Place::open(node)?;
        if place.has("probe-is-empty") {
            return Ok(Vec::new());
        }
        let boot_id = verbs::boot_id(&mut place)?;
        Ok(vec![NodeFacts {
            node: verbs::NODE.to_owned(),
            boot_id,
            vcpus: 8,
            memory_mib: 16_384,
            arch: code::ARCH_X86_64,
            cpu_baseline: String::new(),
            initiators: Vec::new(),
            devices: Vec::new(),
            attrs: Vec::new(),
        }])
    }

    fn ensure(node: &Target, run: &Handle, effect: Effect, spec: GuestSpec) -> Result<Outcome, Fault> {
        let mut place = Place::open(node)?;
        let critical = spec.attrs.refuse_unknown(&[]);
        if critical.is_err() && !place.has("ignores-critical") {
            if place.has("unchanged-lies") {
                verbs::ensure(&mut place, run, &effect, &spec)?;
            }
            critical?;
        }
        verbs::ensure(&mut place, run, &effect, &spec)
    }

    fn start(node: &Target, run: &Handle, effect: Effect, spec: GuestSpec) -> Result<Outcome, Fault> {
        verbs::start(&mut Place::open(node)?, run, &effect, &spec)
    }

    fn shutdown(node: &Target, run: &Handle, effect: Effect) -> Result<Outcome, Fault> {
        verbs::shutdown(&mut Place::open(node)?, &run.id(), &effect)
    }

    fn kill(node: &Target, run: &Handle, _: Effect) -> Result<Outcome, Fault> {
        verbs::kill(&mut Place::open(node)?, &run.id())
    }

    fn reboot(node: &Target, run: &Handle, _: Effect, _: bool) -> Result<Outcome, Fault> {
        verbs::reboot(&mut Place::open(node)?, &run.id())
    }

    fn remove(node: &Target, run: &Handle, effect: Effect) -> Result<Outcome, Fault> {
        verbs::remove(&mut Place::open(node)?, &run.id(), &effect)
    }

    fn observe(node: &Target, after: Option<String>) -> Result<Inventory, Fault> {
        verbs::observe(&mut Place::open(node)?, after.as_deref())
    }

    fn observe_run(node: &Target, run: &Handle) -> Result<Option<Observed>, Fault> {
        Ok(verbs::observe_run(&Place::open(node)?, &run.id()))
    }

    fn poll(node: &Target, _: &Handle, _: Effect, token: String) -> Result<Outcome, Fault> {
        verbs::poll(&mut Place::open(node)?, &token)
    }

    fn cancel(_: &Target, _: &Handle, _: Effect, token: String) -> Result<Outcome, Fault> {
        Err(Fault::unsupported(format!(
            "{token:?} cannot be cancelled: the guest has been asked already"
        )))
    }
}

impl Devices for Flawed {
    fn attach_disk(node: &Target, run: &Handle, _: Effect, disk: Disk) -> Result<Outcome, Fault> {
        disks::attach(&mut Place::open(node)?, &run.id(), &disk)
    }

    fn detach_disk(node: &Target, run: &Handle, _: Effect, slot: u16) -> Result<Outcome, Fault> {
        disks::detach(&mut Place::open(node)?, &run.id(), slot)
    }
}

velum_guest::export_driver!(Flawed, devices);
