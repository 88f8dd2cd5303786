//! Rows of offerings and of orphans.

use uuid::Uuid;
use velum_model::orphan::OrphanPlace;

use super::{Keyed, bare, hex, hex_option, only, resources, row, text};
use crate::{commit::Change, db::word};

pub(crate) fn see_orphan(change: &Change) -> Keyed {
    let Change::SeeOrphan(orphan) = change else {
        return None;
    };
    let (host, pool) = match orphan.place {
        OrphanPlace::ComputeHost(id) => (Some(id), None),
        OrphanPlace::StoragePool(id) => (None, Some(id)),
    };
    let row = row!({
        "id": hex(orphan.id), "kind": orphan.kind.as_str(), "compute_host": hex_option(host),
        "storage_pool": hex_option(pool), "object": bare(orphan.object),
        "peer": bare(orphan.peer.map_or(Uuid::nil(), |id| id.uuid())), "name": orphan.name,
        "generation": orphan.generation, "removed_at": orphan.removed_at, "first_seen": orphan.first_seen,
        "last_seen": orphan.last_seen, "observations": orphan.observations, "reported": u8::from(orphan.reported),
    });
    Some((orphan.id.uuid(), row))
}

pub(crate) fn forget_orphan(change: &Change) -> Keyed {
    let Change::ForgetOrphan(id) = change else {
        return None;
    };
    only(*id)
}

pub(crate) fn insert_compute_offering(change: &Change) -> Keyed {
    let Change::InsertComputeOffering(offering) = change else {
        return None;
    };
    let row = row!({
        "id": hex(offering.id), "name": offering.name, "vcpus": offering.vcpus, "memory": offering.memory,
        "resources": resources(&offering.resources),
        "host_tags": text(&offering.host_tags), "storage_tags": text(&offering.storage_tags),
        "policy": hex_option(offering.policy), "expected_lifetime_s": offering.expected_lifetime,
        "generation": offering.generation, "created_at": offering.created_at,
    });
    Some((offering.id.uuid(), row))
}

pub(crate) fn update_compute_offering(change: &Change) -> Keyed {
    let Change::UpdateComputeOffering(offering) = change else {
        return None;
    };
    let row = row!({
        "id": hex(offering.id), "generation": offering.generation, "name": offering.name,
        "host_tags": text(&offering.host_tags), "storage_tags": text(&offering.storage_tags),
        "policy": hex_option(offering.policy), "expected_lifetime_s": offering.expected_lifetime,
    });
    Some((offering.id.uuid(), row))
}

pub(crate) fn insert_disk_offering(change: &Change) -> Keyed {
    let Change::InsertDiskOffering(offering) = change else {
        return None;
    };
    let row = row!({
        "id": hex(offering.id), "name": offering.name, "size": offering.size,
        "storage_tags": text(&offering.storage_tags), "generation": offering.generation,
        "created_at": offering.created_at,
    });
    Some((offering.id.uuid(), row))
}

pub(crate) fn update_disk_offering(change: &Change) -> Keyed {
    let Change::UpdateDiskOffering(offering) = change else {
        return None;
    };
    let row = row!({
        "id": hex(offering.id), "generation": offering.generation, "name": offering.name,
        "storage_tags": text(&offering.storage_tags),
    });
    Some((offering.id.uuid(), row))
}

pub(crate) fn insert_network_offering(change: &Change) -> Keyed {
    let Change::InsertNetworkOffering(offering) = change else {
        return None;
    };
    let row = row!({
        "id": hex(offering.id), "name": offering.name, "kind": word(&offering.kind),
        "generation": offering.generation, "created_at": offering.created_at,
    });
    Some((offering.id.uuid(), row))
}

pub(crate) fn update_network_offering(change: &Change) -> Keyed {
    let Change::UpdateNetworkOffering(offering) = change else {
        return None;
    };
    let row = row!({ "id": hex(offering.id), "generation": offering.generation, "name": offering.name });
    Some((offering.id.uuid(), row))
}
