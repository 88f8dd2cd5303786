//! `velum:hypervisor@0.1`, where the component runs: one function of one fresh instance.

use serde::Serialize;
use wasmtime::{
    Store,
    component::{Instance, InstancePre},
};

use crate::{
    sandbox::{
        ask::encode,
        host::{CallHost, run, target},
        work::DriverVerb,
    },
    world::bindings::exports::velum::hypervisor::{console, devices, driver},
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
    /// When `driver` or one of `optional` is not there; [`crate::registry`] has found the names before.
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

/// Calls a function and encodes its answer.
///
/// # Errors
/// A trap.
pub async fn call(
    store: &mut Store<CallHost>,
    instance: &Instance,
    exports: &Exports,
    verb: DriverVerb,
) -> wasmtime::Result<Vec<u8>> {
    match verb {
        DriverVerb::AttachDisk { .. } | DriverVerb::DetachDisk { .. } => {
            call_devices(store, instance, exports, verb).await
        }
        DriverVerb::LocateConsole { kind } => {
            let indices = exports.console.as_ref().ok_or_else(|| without("console"))?;
            let guest = indices.load(&mut *store, instance)?;
            answer(&guest.call_locate(store, target(), run(), kind).await?)
        }
        verb => call_driver(store, instance, exports, verb).await,
    }
}

async fn call_driver(
    store: &mut Store<CallHost>,
    instance: &Instance,
    exports: &Exports,
    verb: DriverVerb,
) -> wasmtime::Result<Vec<u8>> {
    let guest = exports.driver.load(&mut *store, instance)?;
    match verb {
        // The contract gives it no fault; the others have one, and the server reads all answers the same way.
        DriverVerb::Describe => answer(&Ok::<_, NoFault>(guest.call_describe(store).await?)),
        DriverVerb::Probe => answer(&guest.call_probe(store, target()).await?),
        DriverVerb::Ensure { effect, spec } => {
            answer(&guest.call_ensure(store, target(), run(), &effect, &spec).await?)
        }
        DriverVerb::Start { effect, spec } => {
            answer(&guest.call_start(store, target(), run(), &effect, &spec).await?)
        }
        DriverVerb::Shutdown { effect } => {
            answer(&guest.call_shutdown(store, target(), run(), &effect).await?)
        }
        DriverVerb::Kill { effect } => answer(&guest.call_kill(store, target(), run(), &effect).await?),
        DriverVerb::Reboot { effect, hard } => {
            answer(&guest.call_reboot(store, target(), run(), &effect, hard).await?)
        }
        DriverVerb::Remove { effect } => answer(&guest.call_remove(store, target(), run(), &effect).await?),
        DriverVerb::Observe { after } => {
            answer(&guest.call_observe(store, target(), after.as_deref()).await?)
        }
        DriverVerb::ObserveRun => answer(&guest.call_observe_run(store, target(), run()).await?),
        DriverVerb::Poll { effect, token } => {
            answer(&guest.call_poll(store, target(), run(), &effect, &token).await?)
        }
        DriverVerb::Cancel { effect, token } => {
            answer(&guest.call_cancel(store, target(), run(), &effect, &token).await?)
        }
        DriverVerb::AttachDisk { .. } | DriverVerb::DetachDisk { .. } | DriverVerb::LocateConsole { .. } => {
            Err(without("driver"))
        }
    }
}

async fn call_devices(
    store: &mut Store<CallHost>,
    instance: &Instance,
    exports: &Exports,
    verb: DriverVerb,
) -> wasmtime::Result<Vec<u8>> {
    let indices = exports.devices.as_ref().ok_or_else(|| without("devices"))?;
    let guest = indices.load(&mut *store, instance)?;
    match verb {
        DriverVerb::AttachDisk { effect, disk } => answer(
            &guest
                .call_attach_disk(store, target(), run(), &effect, &disk)
                .await?,
        ),
        DriverVerb::DetachDisk { effect, slot } => answer(
            &guest
                .call_detach_disk(store, target(), run(), &effect, slot)
                .await?,
        ),
        _ => Err(without("devices")),
    }
}

/// Stands where a function has no fault.
#[derive(Serialize)]
enum NoFault {}

fn answer<T: Serialize>(answer: &T) -> wasmtime::Result<Vec<u8>> {
    encode(answer).map_err(wasmtime::Error::msg)
}

fn without(interface: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the component has no interface '{interface}'"))
}
