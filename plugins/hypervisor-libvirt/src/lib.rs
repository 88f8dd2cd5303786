//! Drives guests through libvirt. This file joins the contract to [`verbs`], which holds what is done, and [`domain`],
//! which holds what a guest looks like.

pub mod domain;
pub mod settings;
pub mod verbs;
pub mod xml;

use velum_guest::{
    common::{Effect, Fault, Outcome, Run, Target},
    connect::libvirt,
    driver::{
        Console, Descriptor, Devices, Disk, Driver, GuestSpec, Inventory, NodeFacts, Observed, Place, code,
    },
    provider::code as storage,
};

use crate::{domain::Tag, settings::Settings};

/// The driver.
#[derive(Debug)]
pub struct LibvirtDriver;

/// A connection, with the run of the call where it has one.
struct Connected<'a> {
    connection: libvirt::Connection,
    run: Option<&'a Run>,
}

impl<'a> Connected<'a> {
    fn open(node: &Target, run: Option<&'a Run>) -> Result<Self, Fault> {
        Ok(Self {
            connection: libvirt::Connection::open(node)?,
            run,
        })
    }

    fn run(&self) -> Result<&'a Run, Fault> {
        self.run
            .ok_or_else(|| Fault::invalid("this call is about no run"))
    }
}

impl verbs::Libvirt for Connected<'_> {
    type Domain = libvirt::Domain;
    fn facts(&self) -> Result<libvirt::Facts, Fault> {
        self.connection.node_facts()
    }
    fn stats(&self, after: Option<&str>) -> Result<libvirt::StatsPage, Fault> {
        self.connection.stats(after)
    }
    fn domain(&self) -> Result<Option<libvirt::Domain>, Fault> {
        self.connection.domain(self.run()?)
    }
    fn define(&self, xml: &str) -> Result<libvirt::Domain, Fault> {
        self.connection.define(self.run()?, xml)
    }
}

impl verbs::Domain for libvirt::Domain {
    fn stats(&self) -> Result<libvirt::DomainStats, Fault> {
        Self::stats(self)
    }
    fn act(&self, verb: u16) -> Result<(), Fault> {
        Self::act(self, verb, 0)
    }
    fn attach(&self, xml: &str, live: bool) -> Result<(), Fault> {
        self.attach_device(xml, live)
    }
    fn detach(&self, alias: &str, live: bool) -> Result<(), Fault> {
        self.detach_device(alias, live)
    }
}

fn tag(run: &Run) -> Tag {
    Tag {
        run: run.id(),
        generation: run.generation(),
    }
}

impl Driver for LibvirtDriver {
    fn describe() -> Descriptor {
        Descriptor {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            attachment_kinds: vec![storage::ATTACH_FILE, storage::ATTACH_ISCSI],
            nic_kinds: vec![code::NIC_BRIDGE, code::NIC_LIBVIRT_NETWORK],
            console_kinds: vec![code::CONSOLE_SERIAL],
            features: Vec::new(),
            attrs: Vec::new(),
        }
    }
    fn probe(node: &Target) -> Result<Vec<NodeFacts>, Fault> {
        Settings::parse(&node.config())?;
        Ok(vec![verbs::probe(&Connected::open(node, None)?)?])
    }
    fn ensure(node: &Target, run: &Run, _: Effect, spec: GuestSpec) -> Result<Outcome, Fault> {
        verbs::ensure(
            &Connected::open(node, Some(run))?,
            &Settings::parse(&node.config())?,
            &tag(run),
            &spec,
        )
    }
    fn start(node: &Target, run: &Run, _: Effect, spec: GuestSpec) -> Result<Outcome, Fault> {
        verbs::start(
            &Connected::open(node, Some(run))?,
            &Settings::parse(&node.config())?,
            &tag(run),
            &spec,
        )
    }
    fn shutdown(node: &Target, run: &Run, _: Effect) -> Result<Outcome, Fault> {
        verbs::shutdown(&Connected::open(node, Some(run))?)
    }
    fn kill(node: &Target, run: &Run, _: Effect) -> Result<Outcome, Fault> {
        verbs::kill(&Connected::open(node, Some(run))?)
    }
    fn reboot(node: &Target, run: &Run, _: Effect, hard: bool) -> Result<Outcome, Fault> {
        verbs::reboot(&Connected::open(node, Some(run))?, hard)
    }
    fn remove(node: &Target, run: &Run, _: Effect) -> Result<Outcome, Fault> {
        verbs::remove(&Connected::open(node, Some(run))?)
    }
    fn observe(node: &Target, after: Option<String>) -> Result<Inventory, Fault> {
        verbs::observe(&Connected::open(node, None)?, &node.id(), after.as_deref())
    }
    fn observe_run(node: &Target, run: &Run) -> Result<Option<Observed>, Fault> {
        verbs::observe_run(&Connected::open(node, Some(run))?, &node.id())
    }
    fn poll(node: &Target, run: &Run, _: Effect, token: String) -> Result<Outcome, Fault> {
        verbs::poll(&Connected::open(node, Some(run))?, &token)
    }
    fn cancel(_: &Target, _: &Run, _: Effect, token: String) -> Result<Outcome, Fault> {
        verbs::cancel(&token)
    }
}

impl Devices for LibvirtDriver {
    fn attach_disk(node: &Target, run: &Run, _: Effect, disk: Disk) -> Result<Outcome, Fault> {
        verbs::attach_disk(&Connected::open(node, Some(run))?, &disk)
    }
    fn detach_disk(node: &Target, run: &Run, _: Effect, slot: u16) -> Result<Outcome, Fault> {
        verbs::detach_disk(&Connected::open(node, Some(run))?, slot)
    }
}

impl Console for LibvirtDriver {
    fn locate(node: &Target, run: &Run, kind: u16) -> Result<Place, Fault> {
        verbs::locate(&Connected::open(node, Some(run))?, kind)
    }
}

velum_guest::export_driver!(LibvirtDriver, devices, console);
