//! Rows of the statements in `sql/claims.rs`.

use velum_model::net::Mac;

use super::{Keyed, bytes, hex, hex_option, only, resources, row, text};
use crate::{commit::Change, db::word};

/// A MAC address as a number.
pub(crate) fn mac_number(mac: Mac) -> u64 {
    mac.0
        .iter()
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

pub(crate) fn insert_instance(change: &Change) -> Keyed {
    let Change::InsertInstance(instance) = change else {
        return None;
    };
    let row = row!({
        "id": hex(instance.id), "zone": hex(instance.zone), "project": hex(instance.project),
        "name": instance.name, "offering": hex(instance.offering), "template": hex(instance.template),
        "vcpus": instance.vcpus, "memory": instance.memory, "state": instance.state.as_str(),
        "last_host": hex_option(instance.last_host), "decision": hex_option(instance.decision),
        "generation": instance.generation, "created_at": instance.created_at,
        "user_data": bytes(&instance.user_data), "expected_lifetime_s": instance.expected_lifetime,
    });
    Some((instance.id.uuid(), row))
}

pub(crate) fn instance_state(change: &Change) -> Keyed {
    let Change::InstanceState { id, from, to } = change else {
        return None;
    };
    let mut was = String::from(",");
    for state in from {
        was.push_str(state.as_str());
        was.push(',');
    }
    Some((
        id.uuid(),
        row!({ "id": hex(*id), "was": was, "becomes": to.as_str() }),
    ))
}

pub(crate) fn instance_decision(change: &Change) -> Keyed {
    let Change::InstanceDecision { id, decision } = change else {
        return None;
    };
    Some((id.uuid(), row!({ "id": hex(*id), "decision": hex(*decision) })))
}

pub(crate) fn delete_instance(change: &Change) -> Keyed {
    let Change::DeleteInstance(id) = change else {
        return None;
    };
    only(*id)
}

pub(crate) fn insert_run(change: &Change) -> Keyed {
    let Change::InsertRun(run) = change else {
        return None;
    };
    let row = row!({
        "id": hex(run.id), "instance": hex(run.instance), "compute_host": hex(run.compute_host),
        "generation": run.generation, "role": word(&run.role), "vcpus": run.vcpus, "memory": run.memory,
        "created_at": run.created_at, "expected_end_at": run.expected_end_at,
        "resources": resources(&run.resources),
    });
    Some((run.id.uuid(), row))
}

pub(crate) fn observe_run(change: &Change) -> Keyed {
    let Change::ObserveRun { id, observed, at } = change else {
        return None;
    };
    Some((
        id.uuid(),
        row!({ "id": hex(*id), "state": word(observed), "seen_at": at }),
    ))
}

pub(crate) fn delete_run(change: &Change) -> Keyed {
    let Change::DeleteRun(id) = change else {
        return None;
    };
    only(*id)
}

pub(crate) fn insert_nic(change: &Change) -> Keyed {
    let Change::InsertNic { nic, .. } = change else {
        return None;
    };
    let row = row!({
        "id": hex(nic.id), "instance": hex(nic.instance), "network": hex(nic.network),
        "project": hex(nic.project), "slot": nic.slot, "mac": mac_number(nic.mac),
        "address": u32::from(nic.address), "created_at": nic.created_at,
    });
    Some((nic.id.uuid(), row))
}

pub(crate) fn claim_address(change: &Change) -> Keyed {
    let Change::InsertNic {
        nic,
        range,
        address_id,
    } = change
    else {
        return None;
    };
    let row = row!({
        "nic": hex(nic.id), "network": hex(nic.network), "ip_range": hex(*range),
        "address": u32::from(nic.address), "address_id": hex(*address_id), "project": hex(nic.project),
        "created_at": nic.created_at,
    });
    Some((nic.id.uuid(), row))
}

pub(crate) fn delete_nic(change: &Change) -> Keyed {
    let Change::DeleteNic(id) = change else {
        return None;
    };
    only(*id)
}

pub(crate) fn insert_volume(change: &Change) -> Keyed {
    let Change::InsertVolume(volume) = change else {
        return None;
    };
    let row = row!({
        "id": hex(volume.id), "zone": hex(volume.zone), "project": hex(volume.project), "name": volume.name,
        "used_as": word(&volume.used_as), "offering": hex_option(volume.offering), "pool": hex(volume.pool),
        "size": volume.size, "parent": hex_option(volume.parent), "backend_id": volume.backend_id,
        "state": word(&volume.state), "generation": volume.generation, "created_at": volume.created_at,
    });
    Some((volume.id.uuid(), row))
}

pub(crate) fn attach(change: &Change) -> Keyed {
    let (id, instance, slot) = match change {
        Change::InsertVolume(volume) => {
            let attachment = volume.attachment?;
            (volume.id, attachment.instance, attachment.slot)
        }
        Change::AttachVolume { id, instance, slot } => (*id, *instance, *slot),
        _ => return None,
    };
    Some((
        id.uuid(),
        row!({ "volume": hex(id), "instance": hex(instance), "slot": slot }),
    ))
}

pub(crate) fn detach(change: &Change) -> Keyed {
    let Change::DetachVolume(id) = change else {
        return None;
    };
    Some((id.uuid(), row!({ "volume": hex(*id) })))
}

pub(crate) fn volume_ready(change: &Change) -> Keyed {
    let Change::VolumeReady {
        id,
        backend_id,
        parent,
    } = change
    else {
        return None;
    };
    Some((
        id.uuid(),
        row!({ "id": hex(*id), "backend_id": backend_id, "parent": hex_option(*parent) }),
    ))
}

pub(crate) fn volume_state(change: &Change) -> Keyed {
    let Change::VolumeState { id, from, to } = change else {
        return None;
    };
    Some((
        id.uuid(),
        row!({ "id": hex(*id), "was": word(from), "becomes": word(to) }),
    ))
}

pub(crate) fn delete_volume(change: &Change) -> Keyed {
    let Change::DeleteVolume(id) = change else {
        return None;
    };
    only(*id)
}

pub(crate) fn insert_layer(change: &Change) -> Keyed {
    let Change::InsertLayer(layer) = change else {
        return None;
    };
    let row = row!({
        "id": hex(layer.id), "pool": hex(layer.pool), "template": hex(layer.template), "size": layer.size,
        "backend_id": layer.backend_id, "ready": u8::from(layer.ready), "created_at": layer.created_at,
    });
    Some((layer.id.uuid(), row))
}

pub(crate) fn layer_ready(change: &Change) -> Keyed {
    let Change::LayerReady { id, backend_id } = change else {
        return None;
    };
    Some((id.uuid(), row!({ "id": hex(*id), "backend_id": backend_id })))
}

pub(crate) fn delete_layer(change: &Change) -> Keyed {
    let Change::DeleteLayer(id) = change else {
        return None;
    };
    only(*id)
}

pub(crate) fn insert_publication(change: &Change) -> Keyed {
    let Change::InsertPublication(publication) = change else {
        return None;
    };
    let row = row!({
        "volume": hex(publication.volume), "run": hex(publication.run),
        "compute_host": hex(publication.compute_host),
        "identity": publication.attachment.as_ref().map(|a| a.identity.as_str()),
        "attachment": publication.attachment.as_ref().map(text),
    });
    Some((publication.volume.uuid(), row))
}

pub(crate) fn publication_ready(change: &Change) -> Keyed {
    let Change::PublicationReady {
        volume,
        run,
        attachment,
    } = change
    else {
        return None;
    };
    let row = row!({
        "volume": hex(*volume), "run": hex(*run), "identity": attachment.identity, "attachment": text(attachment),
    });
    Some((volume.uuid(), row))
}

pub(crate) fn delete_publication(change: &Change) -> Keyed {
    let Change::DeletePublication { volume, run } = change else {
        return None;
    };
    Some((volume.uuid(), row!({ "volume": hex(*volume), "run": hex(*run) })))
}
