//! Guests, through the driver of their compute host.

use velum_model::{
    fault::code,
    infrastructure::{Network, Nic},
    instance::{Instance, ObservedState, Run},
    port::{
        hypervisor::{Disk, GuestSpec, NicSpec, Observed, registry},
        storage::Attachment,
        target::{Attr, AttrValue, Outcome},
    },
    storage::Volume,
};
use velum_store::Change;

use super::{
    rows::{Host, handle},
    secrets, wiring,
};
use crate::step::{Acted, Cx, StepError};

/// What a guest is made of.
pub(crate) struct Parts<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) volumes: Vec<(&'a Volume, Attachment)>,
    pub(crate) nics: Vec<(&'a Nic, &'a Network, String)>,
    pub(crate) seed: Option<String>,
    pub(crate) arch: u16,
}

/// A volume as a disk of a guest.
pub(crate) fn disk(volume: &Volume, slot: u16, attachment: Attachment) -> Disk {
    Disk {
        slot,
        volume: volume.id.uuid(),
        attachment,
        bus: registry::BUS_VIRTIO,
        readonly: false,
        boot_order: (slot == 0).then_some(1),
        attrs: Vec::new(),
    }
}

/// The spec of a guest.
pub(crate) fn spec(parts: &Parts<'_>) -> GuestSpec {
    let instance = parts.instance;
    let mut attrs = vec![
        Attr::text(registry::GUEST_NAME, instance.name.as_str()),
        Attr::text(registry::GUEST_HOST_NAME, wiring::host_name(instance)),
    ];
    match &parts.seed {
        Some(path) => attrs.push(Attr::text(registry::GUEST_SEED, path.clone())),
        None => {
            let data = AttrValue::Bytes(instance.user_data.clone());
            attrs.push(Attr {
                code: registry::GUEST_USER_DATA,
                value: data,
            });
            if let Some((nic, network, _)) = parts.nics.first() {
                attrs.push(Attr::text(registry::GUEST_ADDRESS, wiring::address(nic, network)));
            }
        }
    }
    let disks = parts.volumes.iter().map(|(volume, attachment)| {
        disk(
            volume,
            volume.attachment.map_or(0, |a| a.slot),
            attachment.clone(),
        )
    });
    let nics = parts.nics.iter().map(|(nic, network, link)| NicSpec {
        slot: nic.slot,
        id: nic.id.uuid(),
        mac: nic.mac.to_string(),
        kind: network.link.kind.nic_kind(),
        link: link.clone(),
        attrs: vec![Attr::text(registry::GUEST_ADDRESS, wiring::address(nic, network))],
    });
    GuestSpec {
        vcpus: instance.vcpus.get(),
        vcpus_max: instance.vcpus.get(),
        memory_mib: instance.memory.get(),
        memory_max_mib: instance.memory.get(),
        arch: parts.arch,
        disks: disks.collect(),
        nics: nics.collect(),
        attrs,
    }
}

/// The model's word for an observed state.
pub(crate) const fn observed_state(state: u16) -> ObservedState {
    match state {
        registry::STATE_OFF => ObservedState::Off,
        registry::STATE_RUNNING | registry::STATE_STOPPING => ObservedState::Running,
        registry::STATE_PAUSED => ObservedState::Paused,
        registry::STATE_CRASHED => ObservedState::Crashed,
        _ => ObservedState::Unknown,
    }
}

/// What is seen of a run now.
pub(crate) async fn observe(host: &Host, run: &Run) -> Result<Option<Observed>, StepError> {
    Ok(host.driver.observe_run(&host.target(), handle(run)).await?)
}

/// The row that says what was seen.
pub(crate) fn seen(cx: &Cx<'_>, run: &Run, observed: ObservedState) -> Change {
    Change::ObserveRun {
        id: run.id,
        observed,
        at: cx.engine.parts.clock.now(),
    }
}

/// Defines the run.
pub(crate) async fn ensure(
    cx: &Cx<'_>,
    host: &Host,
    run: &Run,
    spec: &GuestSpec,
) -> Result<Acted, StepError> {
    let call = cx.call(
        host.target(),
        run.instance.uuid(),
        run.generation,
        &format!("define/{}", run.id),
    );
    let outcome = match cx.job {
        Some(job) => host.driver.poll(&call, handle(run), &job.token).await?,
        None => host.driver.ensure(&call, handle(run), spec).await?,
    };
    Ok(Acted::from_outcome(outcome, Vec::new()))
}

/// Starts the run, or finds it running.
pub(crate) async fn start(cx: &Cx<'_>, host: &Host, run: &Run, spec: &GuestSpec) -> Result<Acted, StepError> {
    if cx.is_recovering
        && cx.job.is_none()
        && observe(host, run)
            .await?
            .is_some_and(|o| o.state == registry::STATE_RUNNING)
    {
        return Ok(Acted::done());
    }
    let call = cx.call(
        host.target(),
        run.instance.uuid(),
        run.generation,
        &format!("start/{}", run.id),
    );
    let outcome = match cx.job {
        Some(job) => host.driver.poll(&call, handle(run), &job.token).await?,
        None => {
            secrets::hand_over_of(cx, host, &spec.disks).await?;
            host.driver.start(&call, handle(run), spec).await?
        }
    };
    Ok(Acted::from_outcome(outcome, Vec::new()))
}

/// Waits until it is seen to run, or to have come to its end already: a guest that switched itself off or crashed right
/// after its start is as one that does so later, and must not hold up whoever wants to destroy it.
pub(crate) async fn confirm(cx: &Cx<'_>, host: &Host, run: &Run) -> Result<Acted, StepError> {
    let found = observe(host, run).await?;
    match found.map_or(ObservedState::Off, |o| observed_state(o.state)) {
        state @ (ObservedState::Running | ObservedState::Off | ObservedState::Crashed) => {
            Ok(Acted::changing(vec![seen(cx, run, state)]))
        }
        ObservedState::Unknown | ObservedState::Paused => Ok(Acted::Wait {
            after_ms: CONFIRM_EVERY_MS,
            note: "waiting until the guest is seen to run".into(),
        }),
    }
}

/// A domain is up within tens of milliseconds of its start; asking four times a second costs nothing.
const CONFIRM_EVERY_MS: u64 = 250;

/// Turns it off, whatever it is doing; nothing happens if it is off or not there.
pub(crate) async fn kill(cx: &Cx<'_>, host: &Host, run: &Run) -> Result<Acted, StepError> {
    let call = cx.call(
        host.target(),
        run.instance.uuid(),
        run.generation,
        &format!("kill/{}", run.id),
    );
    let outcome = match cx.job {
        Some(job) => host.driver.poll(&call, handle(run), &job.token).await?,
        None => absent_is_done(host.driver.kill(&call, handle(run)).await)?,
    };
    Ok(Acted::from_outcome(outcome, Vec::new()))
}

/// Undefines it; nothing happens if it is not there.
pub(crate) async fn remove(cx: &Cx<'_>, host: &Host, run: &Run) -> Result<Acted, StepError> {
    let call = cx.call(
        host.target(),
        run.instance.uuid(),
        run.generation,
        &format!("remove/{}", run.id),
    );
    let outcome = match cx.job {
        Some(job) => host.driver.poll(&call, handle(run), &job.token).await?,
        None => absent_is_done(host.driver.remove(&call, handle(run)).await)?,
    };
    Ok(Acted::from_outcome(outcome, Vec::new()))
}

/// What is not there need not be removed.
pub(crate) fn absent_is_done(
    answer: Result<Outcome, velum_model::fault::Fault>,
) -> Result<Outcome, velum_model::fault::Fault> {
    match answer {
        Err(fault) if fault.code == code::NOT_FOUND => Ok(Outcome::Done(Vec::new())),
        other => other,
    }
}
