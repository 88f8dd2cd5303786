//! `velum:hypervisor@0.1`: the port of drivers. What is asked goes to where the component runs; what comes back is checked here.

mod check;
pub mod execute;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use velum_model::{
    fault::{Fault, code},
    port::{
        Call, Outcome, Target,
        hypervisor::{
            ConsolePlace, Disk, DriverDescriptor, GuestSpec, HypervisorDriver, Inventory, NicSpec, NodeFacts,
            Observed, RunHandle,
        },
    },
};

use crate::{
    call::Caller,
    errand::{Order, Place},
    sandbox::work::{DriverVerb, Verb},
    world::{bindings::velum::hypervisor::types, convert},
};

/// A driver.
pub struct Driver {
    caller: Caller,
    /// Optional interfaces by name.
    interfaces: Vec<String>,
}

impl Driver {
    /// A driver from its parts.
    #[must_use]
    pub const fn new(caller: Caller, interfaces: Vec<String>) -> Self {
        Self { caller, interfaces }
    }

    async fn ask<R: DeserializeOwned + Send, A>(
        &self,
        place: Place,
        verb: DriverVerb,
        check: impl FnOnce(R) -> Result<A, String> + Send,
    ) -> Result<A, Fault> {
        self.caller.call(place, Verb::Driver(verb), check).await
    }

    /// # Errors
    /// `UNSUPPORTED` when the component has no such interface.
    fn having(&self, interface: &str) -> Result<(), Fault> {
        if self.interfaces.iter().any(|found| found == interface) {
            return Ok(());
        }
        Err(Fault::unchanged(
            code::UNSUPPORTED,
            format!("the driver has no interface '{interface}'"),
        ))
    }
}

#[async_trait]
impl HypervisorDriver for Driver {
    async fn describe(&self) -> Result<DriverDescriptor, Fault> {
        let interfaces = self.interfaces.clone();
        self.ask(Place::asking(&nowhere()), DriverVerb::Describe, |descriptor| {
            check::descriptor(descriptor, interfaces)
        })
        .await
    }

    async fn probe(&self, node: &Target) -> Result<Vec<NodeFacts>, Fault> {
        self.ask(Place::asking(node), DriverVerb::Probe, check::facts)
            .await
    }

    async fn ensure(&self, call: &Call, handle: RunHandle, spec: &GuestSpec) -> Result<Outcome, Fault> {
        let place = Place::acting(call)
            .of(handle)
            .ordering(Order::Guest(Box::new(spec.clone())));
        let (effect, spec) = (convert::effect(&call.effect), guest_spec(spec));
        self.ask(place, DriverVerb::Ensure { effect, spec }, convert::outcome)
            .await
    }

    async fn start(&self, call: &Call, handle: RunHandle, spec: &GuestSpec) -> Result<Outcome, Fault> {
        let place = Place::acting(call)
            .of(handle)
            .ordering(Order::Guest(Box::new(spec.clone())));
        let (effect, spec) = (convert::effect(&call.effect), guest_spec(spec));
        self.ask(place, DriverVerb::Start { effect, spec }, convert::outcome)
            .await
    }

    async fn shutdown(&self, call: &Call, handle: RunHandle) -> Result<Outcome, Fault> {
        let effect = convert::effect(&call.effect);
        let place = Place::acting(call).of(handle);
        self.ask(place, DriverVerb::Shutdown { effect }, convert::outcome)
            .await
    }

    async fn kill(&self, call: &Call, handle: RunHandle) -> Result<Outcome, Fault> {
        let effect = convert::effect(&call.effect);
        let place = Place::acting(call).of(handle);
        self.ask(place, DriverVerb::Kill { effect }, convert::outcome)
            .await
    }

    async fn reboot(&self, call: &Call, handle: RunHandle, hard: bool) -> Result<Outcome, Fault> {
        let effect = convert::effect(&call.effect);
        let place = Place::acting(call).of(handle);
        self.ask(place, DriverVerb::Reboot { effect, hard }, convert::outcome)
            .await
    }

    async fn remove(&self, call: &Call, handle: RunHandle) -> Result<Outcome, Fault> {
        let effect = convert::effect(&call.effect);
        let place = Place::acting(call).of(handle);
        self.ask(place, DriverVerb::Remove { effect }, convert::outcome)
            .await
    }

    async fn observe(&self, node: &Target, after: Option<&str>) -> Result<Inventory, Fault> {
        let verb = DriverVerb::Observe {
            after: after.map(str::to_owned),
        };
        self.ask(Place::asking(node), verb, |inventory| {
            check::inventory(after, inventory)
        })
        .await
    }

    async fn observe_run(&self, node: &Target, handle: RunHandle) -> Result<Option<Observed>, Fault> {
        let place = Place::asking(node).of(handle);
        self.ask(place, DriverVerb::ObserveRun, |observed| {
            check::of_run(handle, observed)
        })
        .await
    }

    async fn poll(&self, call: &Call, handle: RunHandle, token: &str) -> Result<Outcome, Fault> {
        let (effect, token) = (convert::effect(&call.effect), token.to_owned());
        let place = Place::going_on(call).of(handle);
        self.ask(place, DriverVerb::Poll { effect, token }, convert::outcome)
            .await
    }

    async fn cancel(&self, call: &Call, handle: RunHandle, token: &str) -> Result<Outcome, Fault> {
        let (effect, token) = (convert::effect(&call.effect), token.to_owned());
        let place = Place::going_on(call).of(handle);
        self.ask(place, DriverVerb::Cancel { effect, token }, convert::outcome)
            .await
    }

    async fn attach_disk(&self, call: &Call, handle: RunHandle, disk: &Disk) -> Result<Outcome, Fault> {
        self.having("devices")?;
        let place = Place::acting(call)
            .of(handle)
            .ordering(Order::Disk(Box::new(disk.clone())));
        let (effect, disk) = (convert::effect(&call.effect), disk_to_guest(disk));
        self.ask(place, DriverVerb::AttachDisk { effect, disk }, convert::outcome)
            .await
    }

    async fn detach_disk(&self, call: &Call, handle: RunHandle, slot: u16) -> Result<Outcome, Fault> {
        self.having("devices")?;
        let effect = convert::effect(&call.effect);
        let place = Place::acting(call).of(handle);
        self.ask(place, DriverVerb::DetachDisk { effect, slot }, convert::outcome)
            .await
    }

    async fn locate_console(
        &self,
        node: &Target,
        handle: RunHandle,
        kind: u16,
    ) -> Result<ConsolePlace, Fault> {
        self.having("console")?;
        let place = Place::asking(node).of(handle);
        self.ask(place, DriverVerb::LocateConsole { kind }, |place| {
            check::console(kind, place)
        })
        .await
    }
}

/// `describe` gets no target: there is nothing that it could reach.
fn nowhere() -> Target {
    Target {
        kind: velum_model::port::TargetKind::ComputeHost,
        id: uuid::Uuid::nil(),
        config: serde_json::Value::Null,
        node: None,
        endpoint: None,
        secret: None,
    }
}

fn guest_spec(spec: &GuestSpec) -> types::GuestSpec {
    types::GuestSpec {
        vcpus: spec.vcpus,
        vcpus_max: spec.vcpus_max,
        memory_mib: spec.memory_mib,
        memory_max_mib: spec.memory_max_mib,
        arch: spec.arch,
        disks: spec.disks.iter().map(disk_to_guest).collect(),
        nics: spec.nics.iter().map(nic_to_guest).collect(),
        attrs: convert::attrs_to_guest(&spec.attrs),
    }
}

fn disk_to_guest(disk: &Disk) -> types::Disk {
    types::Disk {
        slot: disk.slot,
        volume: disk.volume.to_string(),
        attachment: convert::attachment_to_guest(&disk.attachment),
        bus: disk.bus,
        readonly: disk.readonly,
        boot_order: disk.boot_order,
        attrs: convert::attrs_to_guest(&disk.attrs),
    }
}

fn nic_to_guest(nic: &NicSpec) -> types::Nic {
    types::Nic {
        slot: nic.slot,
        id: nic.id.to_string(),
        mac: nic.mac.clone(),
        kind: nic.kind,
        link: nic.link.clone(),
        attrs: convert::attrs_to_guest(&nic.attrs),
    }
}
