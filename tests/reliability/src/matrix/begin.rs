//! How an operation of each kind begins: as a client asks for it, or as a reconciler proposes it.

use std::collections::BTreeMap;

use anyhow::Context;
use uuid::Uuid;
use velum_model::{
    id::{ComputeHostId, Id, OperationId},
    instance::InstanceState,
    operation::{Operation, OperationKindName, OperationState, Subject},
    orphan::{Orphan, OrphanKind, OrphanPlace},
    tenancy::{BUILT_IN_PROJECT, Scope},
};
use velum_operation::params::OrphanRemove;
use velum_store::{Change, Commit, InstanceFilter, OperationWrite, block_on};

use crate::{
    far::{FarSide, Guest},
    ground::{Ground, LATER, administrator, ask, new_instance, new_volume, upload_last},
    leave::ALL,
    server::Server,
};

/// Asks for an operation of a kind, as a client would.
///
/// # Errors
/// It is refused.
pub(super) fn begin(
    server: &Server,
    far: &FarSide,
    ground: &Ground,
    kind: OperationKindName,
) -> anyhow::Result<OperationId> {
    use OperationKindName as K;
    let (services, caller, things) = (&server.services, administrator(), &ground.things);
    Ok(match kind {
        K::InstanceCreate => {
            let new = new_instance(things, "new", things.cold_template)?;
            ask(services.instance_create(&caller, new, None))?.operation
        }
        K::InstanceStart => ask(services.instance_start(&caller, things.stopped, None))?.operation,
        K::InstanceStop => ask(services.instance_stop(&caller, things.running, 60_000, None))?.operation,
        K::InstanceReboot => ask(services.instance_reboot(&caller, things.running, false, None))?.operation,
        K::InstanceDestroy => ask(services.instance_destroy(&caller, things.running, None, None))?.operation,
        K::TemplateRegister => upload_last(server, things.half_template)?,
        K::TemplateDelete => {
            ask(services.template_delete(&caller, things.unused_template, None, None))?.operation
        }
        K::VolumeCreate => ask(services.volume_create(&caller, new_volume(things, "new")?, None))?.operation,
        K::VolumeAttach => ask(services.volume_attach(&caller, things.free, things.running, None))?.operation,
        K::VolumeDetach => ask(services.volume_detach(&caller, things.attached, None))?.operation,
        K::VolumeDelete => ask(services.volume_delete(&caller, things.free, None, None))?.operation,
        K::OrphanRemove => remove_orphan(server, far, ground)?,
        K::ComputeHostMaintenance => {
            let instance = block_on(server.store.read().instance(Scope::All, things.running))?;
            let run = instance.and_then(|i| i.run).context("it runs")?;
            ask(services.compute_host_maintenance(&caller, run.compute_host, None, None))?.operation
        }
    })
}

/// A guest that had a row once, on a compute host.
fn lost_guest(far: &FarSide, host: ComputeHostId) -> Orphan {
    let run = Uuid::from_u128(0x0ff0);
    let guest = Guest {
        host: host.uuid(),
        instance: Uuid::from_u128(0x0ff1),
        is_on: true,
        polls: 0,
        disks: BTreeMap::new(),
    };
    far.at_once(|state| state.guests.insert(run, guest));
    let place = OrphanPlace::ComputeHost(host);
    Orphan {
        id: Orphan::id_of(place, OrphanKind::Guest, run, None),
        kind: OrphanKind::Guest,
        place,
        object: run,
        peer: None,
        name: "lost".into(),
        generation: 1,
        removed_at: Some(LATER),
        first_seen: LATER,
        last_seen: LATER,
        observations: 3,
        reported: true,
    }
}

/// What the reconciler proposes when it has seen an orphan often enough.
fn remove_orphan(server: &Server, far: &FarSide, ground: &Ground) -> anyhow::Result<OperationId> {
    let host = *ground.things.hosts.first().context("a compute host")?;
    let orphan = lost_guest(far, host);
    let zone = block_on(server.store.read().zone(ground.things.zone))?.context("the zone")?;
    let epoch = server.store.epoch(zone.shard).context("the shard is ours")?;
    let operation = Operation {
        id: Id::from_uuid(Uuid::from_u128(0x0ff2)),
        kind: OperationKindName::OrphanRemove,
        version: velum_operation::version_of(OperationKindName::OrphanRemove),
        shard: zone.shard,
        epoch,
        project: BUILT_IN_PROJECT,
        subject: Subject::Orphan(orphan.id),
        state: OperationState::Running,
        params: serde_json::json!(OrphanRemove {
            orphan: orphan.clone()
        }),
        journal: Vec::new(),
        progress: 0,
        note: String::new(),
        error: None,
        caller: "reconciler".into(),
        due_at: LATER,
        cancel_requested: false,
        generation: 1,
        created_at: LATER,
        ended_at: None,
    };
    let id = operation.id;
    let fence = Some((zone.shard, epoch));
    for (changes, operation) in [
        (vec![Change::SeeOrphan(Box::new(orphan.clone()))], None),
        (
            Vec::new(),
            Some(OperationWrite::Insert {
                locks: vec![operation.subject],
                operation: Box::new(operation),
                preempts: false,
            }),
        ),
    ] {
        block_on(server.store.commit(Commit {
            fence,
            changes,
            operation,
            ..Commit::default()
        }))?;
    }
    Ok(id)
}

/// How the instance of an operation is destroyed, and whether that was accepted.
pub(super) fn destroying(
    server: &Server,
    ground: &Ground,
) -> anyhow::Result<impl Fn() -> bool + Send + 'static> {
    let all = block_on(
        server
            .store
            .read()
            .instances(Scope::All, &InstanceFilter::default(), ALL),
    )?;
    let new = all.items.iter().find(|i| i.state == InstanceState::Creating);
    let instance = new.map_or(ground.things.stopped, |new| new.id);
    let services = server.services.clone();
    Ok(move || {
        let caller = administrator();
        block_on(services.instance_destroy(&caller, instance, None, None)).is_ok()
    })
}
