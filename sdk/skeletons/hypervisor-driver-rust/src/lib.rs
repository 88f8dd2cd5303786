//! Joins the contract to [`acme`], where the driver is.

pub mod acme;

use velum_guest::{
    codes::storage,
    common::{Effect, Fault, Outcome, Run, Target},
    connect::http::Endpoint,
    driver::{Descriptor, Driver, GuestSpec, Inventory, NodeFacts, Observed, code},
};

use crate::acme::{Host, RunAt};

/// The role of the API in plugin.toml.
const ROLE: &str = "api";

/// The driver.
#[derive(Debug)]
pub struct MyDriver;

fn host(node: &Target) -> Result<Host<Endpoint>, Fault> {
    Host::at(Endpoint::open(node, ROLE)?, &node.config())
}

fn at<T>(
    node: &Target,
    run: &Run,
    verb: impl FnOnce(&RunAt<'_, Endpoint>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    verb(&host(node)?.run(&run.id(), run.generation())?)
}

/// Nothing of Acme's takes so long that it would have to be polled.
fn no_work(token: &str) -> Fault {
    Fault::not_found(format!("{token:?} is no work of this driver"))
}

impl Driver for MyDriver {
    fn describe() -> Descriptor {
        Descriptor {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            attachment_kinds: vec![storage::ATTACH_BLOCK, storage::ATTACH_FILE],
            nic_kinds: vec![code::NIC_BRIDGE],
            console_kinds: Vec::new(),
            features: Vec::new(),
            attrs: Vec::new(),
        }
    }
    fn probe(node: &Target) -> Result<Vec<NodeFacts>, Fault> {
        Ok(vec![host(node)?.probe()?])
    }
    fn ensure(node: &Target, run: &Run, _: Effect, spec: GuestSpec) -> Result<Outcome, Fault> {
        at(node, run, |run| run.ensure(&spec))
    }
    fn start(node: &Target, run: &Run, _: Effect, spec: GuestSpec) -> Result<Outcome, Fault> {
        at(node, run, |run| run.start(&spec))
    }
    fn shutdown(node: &Target, run: &Run, _: Effect) -> Result<Outcome, Fault> {
        at(node, run, |run| run.power("shutdown"))
    }
    fn kill(node: &Target, run: &Run, _: Effect) -> Result<Outcome, Fault> {
        at(node, run, |run| run.power("off"))
    }
    fn reboot(node: &Target, run: &Run, _: Effect, hard: bool) -> Result<Outcome, Fault> {
        at(node, run, |run| {
            run.power(if hard { "reset" } else { "reboot" })
        })
    }
    fn remove(node: &Target, run: &Run, _: Effect) -> Result<Outcome, Fault> {
        at(node, run, |run| run.remove())
    }
    fn observe(node: &Target, after: Option<String>) -> Result<Inventory, Fault> {
        host(node)?.observe(after.as_deref())
    }
    fn observe_run(node: &Target, run: &Run) -> Result<Option<Observed>, Fault> {
        at(node, run, |run| run.observe())
    }
    fn poll(_: &Target, _: &Run, _: Effect, token: String) -> Result<Outcome, Fault> {
        Err(no_work(&token))
    }
    fn cancel(_: &Target, _: &Run, _: Effect, token: String) -> Result<Outcome, Fault> {
        Err(no_work(&token))
    }
}

velum_guest::export_driver!(MyDriver);
