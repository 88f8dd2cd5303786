//! Rows of the statements in `sql/records.rs`.

use std::net::Ipv4Addr;

use velum_model::{
    chance::derived,
    infrastructure::{IpRangeUse, PoolScope, ZoneAccess},
    storage::TemplateState,
    tenancy::BUILT_IN_PROJECT,
};

use super::{Keyed, bare, hex, hex_option, only, row, text};
use crate::{
    commit::{Change, Table},
    db::word,
};

fn number(address: Ipv4Addr) -> u32 {
    u32::from(address)
}

pub(crate) fn insert_zone(change: &Change) -> Keyed {
    let Change::InsertZone(zone) = change else {
        return None;
    };
    let owner = match zone.access {
        ZoneAccess::Public => None,
        ZoneAccess::Private(project) => Some(hex(project)),
    };
    let row = row!({
        "id": hex(zone.id), "name": zone.name, "owner": owner, "shard": hex(zone.shard),
        "policy": hex_option(zone.policy), "pool_policy": hex_option(zone.pool_policy),
        "generation": zone.generation, "created_at": zone.created_at,
    });
    Some((zone.id.uuid(), row))
}

pub(crate) fn update_zone(change: &Change) -> Keyed {
    let Change::UpdateZone(zone) = change else {
        return None;
    };
    let owner = match zone.access {
        ZoneAccess::Public => None,
        ZoneAccess::Private(project) => Some(hex(project)),
    };
    let row = row!({
        "id": hex(zone.id), "generation": zone.generation, "name": zone.name, "owner": owner,
        "policy": hex_option(zone.policy), "pool_policy": hex_option(zone.pool_policy),
    });
    Some((zone.id.uuid(), row))
}

pub(crate) fn insert_pod(change: &Change) -> Keyed {
    let Change::InsertPod(pod) = change else {
        return None;
    };
    let row = row!({
        "id": hex(pod.id), "zone": hex(pod.zone), "name": pod.name, "cidr": pod.cidr.to_string(),
        "first_address": number(pod.cidr.network()), "last_address": number(pod.cidr.broadcast()),
        "gateway": number(pod.gateway), "dedicated_to": hex_option(pod.dedicated_to), "generation": pod.generation, "created_at": pod.created_at,
    });
    Some((pod.id.uuid(), row))
}

pub(crate) fn new_pod(change: &Change) -> Keyed {
    let Change::InsertPod(pod) = change else {
        return None;
    };
    only(pod.id)
}

pub(crate) fn update_pod(change: &Change) -> Keyed {
    let Change::UpdatePod(pod) = change else {
        return None;
    };
    let row = row!({
        "id": hex(pod.id), "generation": pod.generation, "name": pod.name,
        "dedicated_to": hex_option(pod.dedicated_to),
    });
    Some((pod.id.uuid(), row))
}

pub(crate) fn insert_cluster(change: &Change) -> Keyed {
    let Change::InsertCluster(cluster) = change else {
        return None;
    };
    let row = row!({
        "id": hex(cluster.id), "zone": hex(cluster.zone), "pod": hex(cluster.pod), "shard": hex(cluster.shard),
        "name": cluster.name, "driver": cluster.driver, "cpu_overcommit": cluster.cpu_overcommit,
        "memory_overcommit": cluster.memory_overcommit, "dedicated_to": hex_option(cluster.dedicated_to),
        "generation": cluster.generation, "created_at": cluster.created_at,
    });
    Some((cluster.id.uuid(), row))
}

pub(crate) fn update_cluster(change: &Change) -> Keyed {
    let Change::UpdateCluster(cluster) = change else {
        return None;
    };
    let row = row!({
        "id": hex(cluster.id), "generation": cluster.generation, "name": cluster.name,
        "cpu_overcommit": cluster.cpu_overcommit, "memory_overcommit": cluster.memory_overcommit,
        "dedicated_to": hex_option(cluster.dedicated_to),
    });
    Some((cluster.id.uuid(), row))
}

pub(crate) fn changed_cluster(change: &Change) -> Keyed {
    let Change::UpdateCluster(cluster) = change else {
        return None;
    };
    only(cluster.id)
}

pub(crate) fn insert_compute_host(change: &Change) -> Keyed {
    let Change::InsertComputeHost(host) = change else {
        return None;
    };
    let row = row!({
        "id": hex(host.id), "zone": hex(host.zone), "pod": hex(host.pod), "cluster": hex(host.cluster),
        "name": host.name, "driver": host.driver, "config": text(&host.config), "node": host.node,
        "endpoint": host.endpoint, "private_address": host.private_address.map(number),
        "vcpus": host.vcpus, "memory": host.memory, "tags": text(&host.tags),
        "attributes": text(&host.attributes), "abilities": text(&host.abilities),
        "intent": word(&host.intent), "dedicated_to": hex_option(host.dedicated_to),
        "generation": host.generation, "created_at": host.created_at,
    });
    Some((host.id.uuid(), row))
}

pub(crate) fn new_compute_host(change: &Change) -> Keyed {
    let Change::InsertComputeHost(host) = change else {
        return None;
    };
    only(host.id)
}

pub(crate) fn first_observation(change: &Change) -> Keyed {
    let Change::InsertComputeHost(host) = change else {
        return None;
    };
    let row = row!({
        "id": hex(host.id), "state": word(&host.observed), "boot_id": host.boot_id,
        "seen_at": host.observed_at?,
    });
    Some((host.id.uuid(), row))
}

pub(crate) fn private_address(change: &Change) -> Keyed {
    let Change::InsertComputeHost(host) = change else {
        return None;
    };
    host.private_address?;
    let row = row!({
        "host": hex(host.id), "address_id": bare(derived(host.id.uuid(), "private-address")),
        "project": hex(BUILT_IN_PROJECT),
    });
    Some((host.id.uuid(), row))
}

pub(crate) fn update_compute_host(change: &Change) -> Keyed {
    let Change::UpdateComputeHost(host) = change else {
        return None;
    };
    let row = row!({
        "id": hex(host.id), "generation": host.generation, "name": host.name, "driver": host.driver,
        "config": text(&host.config), "node": host.node, "endpoint": host.endpoint, "vcpus": host.vcpus,
        "memory": host.memory, "tags": text(&host.tags), "attributes": text(&host.attributes),
        "abilities": text(&host.abilities), "intent": word(&host.intent),
        "dedicated_to": hex_option(host.dedicated_to),
    });
    Some((host.id.uuid(), row))
}

pub(crate) fn changed_compute_host(change: &Change) -> Keyed {
    let Change::UpdateComputeHost(host) = change else {
        return None;
    };
    only(host.id)
}

pub(crate) fn observe_compute_host(change: &Change) -> Keyed {
    let Change::ObserveComputeHost {
        id,
        state,
        boot_id,
        at,
    } = change
    else {
        return None;
    };
    let row = row!({ "id": hex(*id), "state": word(state), "boot_id": boot_id, "seen_at": at });
    Some((id.uuid(), row))
}

pub(crate) fn insert_storage_pool(change: &Change) -> Keyed {
    let Change::InsertStoragePool(pool) = change else {
        return None;
    };
    let (cluster, host) = match pool.scope {
        PoolScope::Zone => (None, None),
        PoolScope::Cluster(id) => (Some(hex(id)), None),
        PoolScope::ComputeHost(id) => (None, Some(hex(id))),
    };
    let row = row!({
        "id": hex(pool.id), "zone": hex(pool.zone), "scope_cluster": cluster, "scope_host": host,
        "name": pool.name, "provider": pool.provider, "config": text(&pool.config), "node": pool.node,
        "endpoint": pool.endpoint, "credential": pool.credential, "capacity": pool.capacity,
        "tags": text(&pool.tags),
        "attributes": text(&pool.attributes), "abilities": text(&pool.abilities),
        "intent": word(&pool.intent), "generation": pool.generation, "created_at": pool.created_at,
    });
    Some((pool.id.uuid(), row))
}

pub(crate) fn new_storage_pool(change: &Change) -> Keyed {
    let Change::InsertStoragePool(pool) = change else {
        return None;
    };
    only(pool.id)
}

pub(crate) fn update_storage_pool(change: &Change) -> Keyed {
    let Change::UpdateStoragePool(pool) = change else {
        return None;
    };
    let row = row!({
        "id": hex(pool.id), "generation": pool.generation, "name": pool.name, "provider": pool.provider,
        "config": text(&pool.config), "node": pool.node, "endpoint": pool.endpoint,
        "credential": pool.credential, "capacity": pool.capacity,
        "tags": text(&pool.tags), "attributes": text(&pool.attributes), "abilities": text(&pool.abilities),
        "intent": word(&pool.intent),
    });
    Some((pool.id.uuid(), row))
}

pub(crate) fn changed_storage_pool(change: &Change) -> Keyed {
    let Change::UpdateStoragePool(pool) = change else {
        return None;
    };
    only(pool.id)
}

pub(crate) fn insert_image_store(change: &Change) -> Keyed {
    let Change::InsertImageStore(store) = change else {
        return None;
    };
    let row = row!({
        "id": hex(store.id), "zone": hex(store.zone), "name": store.name, "place": text(&store.place),
        "generation": store.generation, "created_at": store.created_at,
    });
    Some((store.id.uuid(), row))
}

pub(crate) fn insert_ip_range(change: &Change) -> Keyed {
    let Change::InsertIpRange(range) = change else {
        return None;
    };
    let (network, pod) = match range.used_for {
        IpRangeUse::Public(network) => (Some(hex(network)), None),
        IpRangeUse::Private(pod) => (None, Some(hex(pod))),
    };
    let row = row!({
        "id": hex(range.id), "zone": hex(range.zone), "network": network, "pod": pod,
        "first_address": number(range.range.first), "last_address": number(range.range.last),
        "generation": range.generation, "created_at": range.created_at,
    });
    Some((range.id.uuid(), row))
}

pub(crate) fn new_ip_range(change: &Change) -> Keyed {
    let Change::InsertIpRange(range) = change else {
        return None;
    };
    only(range.id)
}

pub(crate) fn insert_network(change: &Change) -> Keyed {
    let Change::InsertNetwork(network) = change else {
        return None;
    };
    let row = row!({
        "id": hex(network.id), "zone": hex(network.zone), "project": hex(network.project),
        "offering": hex(network.offering), "name": network.name, "cidr": network.cidr.to_string(),
        "first_address": number(network.cidr.network()), "last_address": number(network.cidr.broadcast()),
        "gateway": number(network.gateway), "dns": text(&network.dns), "link": text(&network.link),
        "generation": network.generation, "created_at": network.created_at,
    });
    Some((network.id.uuid(), row))
}

pub(crate) fn update_network(change: &Change) -> Keyed {
    let Change::UpdateNetwork(network) = change else {
        return None;
    };
    let row = row!({
        "id": hex(network.id), "generation": network.generation, "name": network.name, "dns": text(&network.dns),
    });
    Some((network.id.uuid(), row))
}

pub(crate) fn insert_template(change: &Change) -> Keyed {
    let Change::InsertTemplate(template) = change else {
        return None;
    };
    let (state, failure) = state_of(&template.state);
    let row = row!({
        "id": hex(template.id), "zone": hex(template.zone), "project": hex(template.project),
        "image_store": hex(template.image_store), "name": template.name, "format": word(&template.format),
        "upload_bytes": template.upload_bytes, "received_bytes": template.received_bytes,
        "sha256": template.sha256, "state": state, "failure": failure,
        "virtual_bytes": template.virtual_bytes, "reference": template.reference,
        "generation": template.generation, "created_at": template.created_at,
    });
    Some((template.id.uuid(), row))
}

/// The stored name of a template's state, and the words of a failure.
pub(crate) fn state_of(state: &TemplateState) -> (&'static str, Option<&str>) {
    match state {
        TemplateState::Uploading => ("uploading", None),
        TemplateState::Registering => ("registering", None),
        TemplateState::Ready => ("ready", None),
        TemplateState::Failed(why) => ("failed", Some(why)),
        TemplateState::Deleting => ("deleting", None),
    }
}

pub(crate) fn template_received(change: &Change) -> Keyed {
    let Change::TemplateReceived { id, received_bytes } = change else {
        return None;
    };
    Some((id.uuid(), row!({ "id": hex(*id), "received": received_bytes })))
}

pub(crate) fn template_state(change: &Change) -> Keyed {
    let Change::TemplateState {
        id,
        to,
        virtual_bytes,
        reference,
    } = change
    else {
        return None;
    };
    let (state, failure) = state_of(to);
    let row = row!({
        "id": hex(*id), "state": state, "failure": failure, "virtual_bytes": virtual_bytes,
        "reference": reference,
    });
    Some((id.uuid(), row))
}

/// The row of a deletion, if it is from `table`.
pub(crate) fn delete(change: &Change, table: Table) -> Keyed {
    match change {
        Change::Delete {
            table: from,
            id,
            generation,
        } if *from == table => Some((*id, row!({ "id": bare(*id), "generation": generation }))),
        _ => None,
    }
}
