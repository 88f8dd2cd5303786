//! `velum:hypervisor@0.1`: one fresh instance a call.

mod check;

use async_trait::async_trait;
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
use wasmtime::{
    Store,
    component::{Instance, InstancePre},
};

use crate::{
    call::{Asked, CallHost, Caller, Order, Pending, Place, run, target},
    world::{
        bindings::{
            exports::velum::hypervisor::{console, devices, driver},
            velum::{common::types as wit, hypervisor::types},
        },
        convert,
    },
};

/// Where the exports of a driver are.
pub struct Exports {
    driver: driver::GuestIndices,
    devices: Option<devices::GuestIndices>,
    console: Option<console::GuestIndices>,
}

impl Exports {
    /// Finds them.
    ///
    /// # Errors
    /// When `driver` is not there; [`crate::registry`] has found the names before.
    pub fn find(pre: &InstancePre<CallHost>, optional: &[String]) -> wasmtime::Result<Self> {
        let has = |name: &str| optional.iter().any(|found| found == name);
        Ok(Self {
            driver: driver::GuestIndices::new(pre)?,
            devices: has("devices")
                .then(|| devices::GuestIndices::new(pre))
                .transpose()?,
            console: has("console")
                .then(|| console::GuestIndices::new(pre))
                .transpose()?,
        })
    }
}

/// A driver.
pub struct Driver {
    caller: Caller,
    exports: Exports,
    /// Optional interfaces by name.
    interfaces: Vec<String>,
}

/// Calls one function of `driver`.
type Ask<'a, R> = Pending<'a, Result<R, wit::Fault>>;

impl Driver {
    /// A driver from its parts.
    #[must_use]
    pub const fn new(caller: Caller, exports: Exports, interfaces: Vec<String>) -> Self {
        Self {
            caller,
            exports,
            interfaces,
        }
    }

    async fn ask<R: Send, A>(
        &self,
        place: Place,
        call: impl for<'a> FnOnce(&'a mut Store<CallHost>, &'a driver::Guest) -> Ask<'a, R> + Send,
        check: impl FnOnce(R) -> Result<A, String> + Send,
    ) -> Result<A, Fault> {
        let load =
            |store: &mut Store<CallHost>, instance: &Instance| self.exports.driver.load(store, instance);
        self.caller.call(place, Asked { load, call }, check).await
    }

    async fn ask_devices<R: Send, A>(
        &self,
        place: Place,
        call: impl for<'a> FnOnce(&'a mut Store<CallHost>, &'a devices::Guest) -> Ask<'a, R> + Send,
        check: impl FnOnce(R) -> Result<A, String> + Send,
    ) -> Result<A, Fault> {
        let indices = self.exports.devices.as_ref().ok_or_else(|| without("devices"))?;
        let load = |store: &mut Store<CallHost>, instance: &Instance| indices.load(store, instance);
        self.caller.call(place, Asked { load, call }, check).await
    }

    async fn ask_console<R: Send, A>(
        &self,
        place: Place,
        call: impl for<'a> FnOnce(&'a mut Store<CallHost>, &'a console::Guest) -> Ask<'a, R> + Send,
        check: impl FnOnce(R) -> Result<A, String> + Send,
    ) -> Result<A, Fault> {
        let indices = self.exports.console.as_ref().ok_or_else(|| without("console"))?;
        let load = |store: &mut Store<CallHost>, instance: &Instance| indices.load(store, instance);
        self.caller.call(place, Asked { load, call }, check).await
    }
}

fn without(interface: &str) -> Fault {
    Fault::unchanged(
        code::UNSUPPORTED,
        format!("the driver has no interface '{interface}'"),
    )
}

#[async_trait]
impl HypervisorDriver for Driver {
    async fn describe(&self) -> Result<DriverDescriptor, Fault> {
        let nowhere = Place::asking(&nowhere());
        let interfaces = self.interfaces.clone();
        self.ask(
            nowhere,
            |store, guest| Box::pin(async move { guest.call_describe(store).await.map(Ok) }),
            |descriptor| check::descriptor(descriptor, interfaces),
        )
        .await
    }

    async fn probe(&self, node: &Target) -> Result<Vec<NodeFacts>, Fault> {
        self.ask(
            Place::asking(node),
            |store, guest| Box::pin(async move { guest.call_probe(store, target()).await }),
            check::facts,
        )
        .await
    }

    async fn ensure(&self, call: &Call, handle: RunHandle, spec: &GuestSpec) -> Result<Outcome, Fault> {
        let place = Place::acting(call)
            .of(handle)
            .ordering(Order::Guest(Box::new(spec.clone())));
        let (effect, spec) = (convert::effect(&call.effect), guest_spec(spec));
        self.ask(
            place,
            |store, guest| {
                Box::pin(async move { guest.call_ensure(store, target(), run(), &effect, &spec).await })
            },
            convert::outcome,
        )
        .await
    }

    async fn start(&self, call: &Call, handle: RunHandle, spec: &GuestSpec) -> Result<Outcome, Fault> {
        let place = Place::acting(call)
            .of(handle)
            .ordering(Order::Guest(Box::new(spec.clone())));
        let (effect, spec) = (convert::effect(&call.effect), guest_spec(spec));
        self.ask(
            place,
            |store, guest| {
                Box::pin(async move { guest.call_start(store, target(), run(), &effect, &spec).await })
            },
            convert::outcome,
        )
        .await
    }

    async fn shutdown(&self, call: &Call, handle: RunHandle) -> Result<Outcome, Fault> {
        let effect = convert::effect(&call.effect);
        self.ask(
            Place::acting(call).of(handle),
            |store, guest| {
                Box::pin(async move { guest.call_shutdown(store, target(), run(), &effect).await })
            },
            convert::outcome,
        )
        .await
    }

    async fn kill(&self, call: &Call, handle: RunHandle) -> Result<Outcome, Fault> {
        let effect = convert::effect(&call.effect);
        self.ask(
            Place::acting(call).of(handle),
            |store, guest| Box::pin(async move { guest.call_kill(store, target(), run(), &effect).await }),
            convert::outcome,
        )
        .await
    }

    async fn reboot(&self, call: &Call, handle: RunHandle, hard: bool) -> Result<Outcome, Fault> {
        let effect = convert::effect(&call.effect);
        self.ask(
            Place::acting(call).of(handle),
            move |store, guest| {
                Box::pin(async move { guest.call_reboot(store, target(), run(), &effect, hard).await })
            },
            convert::outcome,
        )
        .await
    }

    async fn remove(&self, call: &Call, handle: RunHandle) -> Result<Outcome, Fault> {
        let effect = convert::effect(&call.effect);
        self.ask(
            Place::acting(call).of(handle),
            |store, guest| Box::pin(async move { guest.call_remove(store, target(), run(), &effect).await }),
            convert::outcome,
        )
        .await
    }

    async fn observe(&self, node: &Target, after: Option<&str>) -> Result<Inventory, Fault> {
        let mark = after.map(str::to_owned);
        self.ask(
            Place::asking(node),
            |store, guest| {
                Box::pin(async move { guest.call_observe(store, target(), mark.as_deref()).await })
            },
            |inventory| check::inventory(after, inventory),
        )
        .await
    }

    async fn observe_run(&self, node: &Target, handle: RunHandle) -> Result<Option<Observed>, Fault> {
        self.ask(
            Place::asking(node).of(handle),
            |store, guest| Box::pin(async move { guest.call_observe_run(store, target(), run()).await }),
            |observed| check::of_run(handle, observed),
        )
        .await
    }

    async fn poll(&self, call: &Call, handle: RunHandle, token: &str) -> Result<Outcome, Fault> {
        let (effect, token) = (convert::effect(&call.effect), token.to_owned());
        self.ask(
            Place::going_on(call).of(handle),
            |store, guest| {
                Box::pin(async move { guest.call_poll(store, target(), run(), &effect, &token).await })
            },
            convert::outcome,
        )
        .await
    }

    async fn cancel(&self, call: &Call, handle: RunHandle, token: &str) -> Result<Outcome, Fault> {
        let (effect, token) = (convert::effect(&call.effect), token.to_owned());
        self.ask(
            Place::going_on(call).of(handle),
            |store, guest| {
                Box::pin(async move { guest.call_cancel(store, target(), run(), &effect, &token).await })
            },
            convert::outcome,
        )
        .await
    }

    async fn attach_disk(&self, call: &Call, handle: RunHandle, disk: &Disk) -> Result<Outcome, Fault> {
        let place = Place::acting(call)
            .of(handle)
            .ordering(Order::Disk(Box::new(disk.clone())));
        let (effect, disk) = (convert::effect(&call.effect), disk_to_guest(disk));
        self.ask_devices(
            place,
            |store, guest| {
                Box::pin(async move {
                    guest
                        .call_attach_disk(store, target(), run(), &effect, &disk)
                        .await
                })
            },
            convert::outcome,
        )
        .await
    }

    async fn detach_disk(&self, call: &Call, handle: RunHandle, slot: u16) -> Result<Outcome, Fault> {
        let effect = convert::effect(&call.effect);
        self.ask_devices(
            Place::acting(call).of(handle),
            move |store, guest| {
                Box::pin(async move {
                    guest
                        .call_detach_disk(store, target(), run(), &effect, slot)
                        .await
                })
            },
            convert::outcome,
        )
        .await
    }

    async fn locate_console(
        &self,
        node: &Target,
        handle: RunHandle,
        kind: u16,
    ) -> Result<ConsolePlace, Fault> {
        self.ask_console(
            Place::asking(node).of(handle),
            move |store, guest| {
                Box::pin(async move { guest.call_locate(store, target(), run(), kind).await })
            },
            |place| check::console(kind, place),
        )
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
