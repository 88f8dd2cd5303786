//! Drives guests on the simulated far side over its HTTP API. This file joins the contract to [`verbs`].

pub mod verbs;
pub mod words;

use velum_guest::{
    codes::storage,
    common::{Effect, Fault, Outcome, Run, Target},
    connect::http::Endpoint,
    driver::{Descriptor, Devices, Disk, Driver, GuestSpec, Inventory, NodeFacts, Observed, code},
    json_api::Api,
};

use crate::verbs::{Host, RunAt};

/// The role of plugin.toml.
const ROLE: &str = "api";

/// The driver.
#[derive(Debug)]
pub struct SimDriver;

fn host(node: &Target) -> Result<Host<Endpoint>, Fault> {
    Host::at(Api::open(node, ROLE)?, &node.config())
}

fn with<T>(
    node: &Target,
    run: &Run,
    verb: impl FnOnce(&RunAt<'_, Endpoint>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let host = host(node)?;
    verb(&host.run(run.id(), run.generation())?)
}

impl Driver for SimDriver {
    fn describe() -> Descriptor {
        Descriptor {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            attachment_kinds: vec![storage::ATTACH_SIMULATED],
            nic_kinds: vec![code::NIC_SIMULATED],
            console_kinds: Vec::new(),
            features: Vec::new(),
            attrs: Vec::new(),
        }
    }
    fn probe(node: &Target) -> Result<Vec<NodeFacts>, Fault> {
        Ok(vec![host(node)?.probe()?])
    }
    fn ensure(node: &Target, run: &Run, _: Effect, spec: GuestSpec) -> Result<Outcome, Fault> {
        with(node, run, |run| run.ensure(&spec))
    }
    fn start(node: &Target, run: &Run, _: Effect, spec: GuestSpec) -> Result<Outcome, Fault> {
        with(node, run, |run| run.start(&spec))
    }
    fn shutdown(node: &Target, run: &Run, _: Effect) -> Result<Outcome, Fault> {
        with(node, run, |run| run.shutdown())
    }
    fn kill(node: &Target, run: &Run, _: Effect) -> Result<Outcome, Fault> {
        with(node, run, |run| run.kill())
    }
    fn reboot(node: &Target, run: &Run, _: Effect, hard: bool) -> Result<Outcome, Fault> {
        with(node, run, |run| run.reboot(hard))
    }
    fn remove(node: &Target, run: &Run, _: Effect) -> Result<Outcome, Fault> {
        with(node, run, |run| run.remove())
    }
    fn observe(node: &Target, after: Option<String>) -> Result<Inventory, Fault> {
        host(node)?.observe(after.as_deref())
    }
    fn observe_run(node: &Target, run: &Run) -> Result<Option<Observed>, Fault> {
        with(node, run, |run| run.observe())
    }
    fn poll(node: &Target, _: &Run, _: Effect, token: String) -> Result<Outcome, Fault> {
        host(node)?.poll(&token)
    }
    fn cancel(node: &Target, _: &Run, _: Effect, token: String) -> Result<Outcome, Fault> {
        host(node)?.cancel(&token)
    }
}

impl Devices for SimDriver {
    fn attach_disk(node: &Target, run: &Run, _: Effect, disk: Disk) -> Result<Outcome, Fault> {
        with(node, run, |run| run.attach_disk(&disk))
    }
    fn detach_disk(node: &Target, run: &Run, _: Effect, slot: u16) -> Result<Outcome, Fault> {
        with(node, run, |run| run.detach_disk(slot))
    }
}

velum_guest::export_driver!(SimDriver, devices);
