//! The hot rows: instances, runs, NICs, volumes, layers, publications, and the counters of the room and the resources that they claim.

use super::{batch, insert};
#[cfg(test)]
use crate::db::Statement;

insert!(INSERT_INSTANCE, "instance", {
    id id, zone id, project id, name text, offering id, template id, vcpus int, memory int, state text,
    last_host id, decision id, generation int, created_at int, user_data bytes,
    expected_lifetime_s int
});
batch!(INSTANCE_STATE, "change the state of an instance", { id id, was text, becomes text },
    "UPDATE instance SET state = r.becomes, generation = instance.generation + 1 FROM r
     WHERE instance.id = r.id AND r.was LIKE '%,' || instance.state || ',%' RETURNING instance.id");
batch!(INSTANCE_DECISION, "record the decision of an instance", { id id, decision id },
    "UPDATE instance SET decision = r.decision FROM r WHERE instance.id = r.id RETURNING instance.id");
batch!(INSTANCE_LAST_HOST, "record the last compute host of an instance", { id id, host id },
    "UPDATE instance SET last_host = r.host FROM r WHERE instance.id = r.id");
batch!(DELETE_INSTANCE, "delete from instance", { id id },
    "DELETE FROM instance WHERE id IN (SELECT id FROM r) RETURNING id");

insert!(INSERT_RUN, "run", {
    id id, instance id, compute_host id, generation int, role text, vcpus int, memory int, created_at int,
    expected_end_at int, resources text
});
batch!(OBSERVE_RUN, "record what was seen of a run", { id id, state text, seen_at int },
    "INSERT INTO run_seen (id, state, seen_at)
     SELECT r.id, r.state, r.seen_at FROM r JOIN run ON run.id = r.id WHERE true
     ON CONFLICT (id) DO UPDATE SET
        state = CASE WHEN excluded.seen_at >= run_seen.seen_at THEN excluded.state ELSE run_seen.state END,
        seen_at = CASE WHEN excluded.seen_at >= run_seen.seen_at THEN excluded.seen_at ELSE run_seen.seen_at END
     RETURNING id");
batch!(DELETE_RUN, "delete from run", { id id },
    "DELETE FROM run WHERE id IN (SELECT id FROM r) RETURNING id, instance, compute_host, vcpus, memory, resources");

insert!(INSERT_NIC, "nic", {
    id id, instance id, network id, project id, slot int, mac int, address int, created_at int
});
batch!(MAC_TAKEN, "look for MAC addresses that are taken", { id id, mac int },
    "SELECT r.id FROM r JOIN nic ON nic.mac = r.mac AND nic.id <> r.id");
batch!(CLAIM_ADDRESS, "claim addresses",
    { nic id, network id, ip_range id, address int, address_id id, project id, created_at int },
    "INSERT INTO ip_address (ip_range, address, id, project, nic, compute_host, created_at)
     SELECT i.id, r.address, r.address_id, r.project, r.nic, NULL, r.created_at
     FROM r JOIN ip_range i ON i.id = r.ip_range AND i.network = r.network
        AND i.first_address <= r.address AND i.last_address >= r.address
     WHERE true ON CONFLICT DO NOTHING RETURNING nic");
batch!(DELETE_NIC, "delete from nic", { id id },
    "DELETE FROM nic WHERE id IN (SELECT id FROM r) RETURNING id");

insert!(INSERT_VOLUME, "volume", {
    id id, zone id, project id, name text, used_as text, offering id, pool id, size int, parent id,
    backend_id text, state text, generation int, created_at int
});
insert!(INSERT_ATTACHMENT, "attachment", { volume id, instance id, slot int });
batch!(DELETE_ATTACHMENT, "delete from attachment", { volume id },
    "DELETE FROM attachment WHERE volume IN (SELECT volume FROM r) RETURNING volume");
batch!(DELETE_ROOT_ATTACHMENT, "delete the attachment of root volumes", { id id },
    "DELETE FROM attachment WHERE volume IN (SELECT v.id FROM r JOIN volume v ON v.id = r.id WHERE v.used_as = 'root')
     RETURNING volume");
batch!(VOLUME_READY, "record that a volume is there", { id id, backend_id text, parent id },
    "UPDATE volume SET state = 'ready', backend_id = r.backend_id, parent = r.parent,
        generation = volume.generation + 1
     FROM r WHERE volume.id = r.id AND volume.state IN ('creating', 'ready') RETURNING volume.id");
batch!(VOLUME_STATE, "change the state of a volume", { id id, was text, becomes text },
    "UPDATE volume SET state = r.becomes, generation = volume.generation + 1 FROM r
     WHERE volume.id = r.id AND volume.state = r.was RETURNING volume.id");
batch!(DELETE_VOLUME, "delete from volume", { id id },
    "DELETE FROM volume WHERE id IN (SELECT id FROM r) RETURNING id, pool, size");

insert!(INSERT_LAYER, "layer", {
    id id, pool id, template id, size int, backend_id text, ready int, created_at int
});
batch!(LAYER_READY, "record that a layer is there", { id id, backend_id text },
    "UPDATE layer SET ready = 1, backend_id = r.backend_id FROM r WHERE layer.id = r.id RETURNING layer.id");
batch!(DELETE_LAYER, "delete from layer", { id id },
    "DELETE FROM layer WHERE id IN (SELECT id FROM r) RETURNING id, pool, size");

insert!(INSERT_PUBLICATION, "publication", {
    volume id, run id, compute_host id, identity text, attachment text
});
batch!(PUBLICATION_READY, "record how a volume is reached", { volume id, run id, identity text, attachment text },
    "UPDATE publication SET identity = r.identity, attachment = r.attachment FROM r
     WHERE publication.volume = r.volume AND publication.run = r.run AND NOT EXISTS
        (SELECT 1 FROM publication o WHERE o.identity = r.identity AND o.volume <> r.volume)
     RETURNING publication.volume");
batch!(IDENTITY_TAKEN, "look for identities of volumes that are taken", { volume id, identity text },
    "SELECT r.volume FROM r JOIN publication o ON o.identity = r.identity AND o.volume <> r.volume");
batch!(DELETE_PUBLICATION, "delete from publication", { volume id, run id },
    "DELETE FROM publication WHERE (volume, run) IN (SELECT volume, run FROM r) RETURNING volume, compute_host");

batch!(HOST_ROOM, "claim room on compute hosts",
    { host id, vcpus_claimed int, vcpus_released int, memory_claimed int, memory_released int },
    "UPDATE compute_host_room SET
        vcpus_used = vcpus_used - r.vcpus_released + r.vcpus_claimed,
        vcpus_ceiling = CASE WHEN vcpus_used - r.vcpus_released + r.vcpus_claimed > vcpus_limit
            THEN vcpus_used - r.vcpus_released + r.vcpus_claimed ELSE vcpus_limit END,
        memory_used = memory_used - r.memory_released + r.memory_claimed,
        memory_ceiling = CASE WHEN memory_used - r.memory_released + r.memory_claimed > memory_limit
            THEN memory_used - r.memory_released + r.memory_claimed ELSE memory_limit END
     FROM r WHERE compute_host_room.id = r.host
        AND (r.vcpus_claimed = 0 OR vcpus_used - r.vcpus_released + r.vcpus_claimed <= vcpus_limit)
        AND (r.memory_claimed = 0 OR memory_used - r.memory_released + r.memory_claimed <= memory_limit)
     RETURNING id, vcpus_used, vcpus_ceiling, memory_used, memory_ceiling");
batch!(RESOURCE_ROOM, "claim resources of compute hosts", { compute_host id, name text, claimed int, released int },
    "UPDATE compute_host_resource SET
        amount_used = amount_used - r.released + r.claimed,
        amount_ceiling = CASE WHEN amount_used - r.released + r.claimed > amount_limit
            THEN amount_used - r.released + r.claimed ELSE amount_limit END
     FROM r WHERE compute_host_resource.compute_host = r.compute_host AND compute_host_resource.name = r.name
        AND (r.claimed = 0 OR amount_used - r.released + r.claimed <= amount_limit)
     RETURNING compute_host_resource.compute_host, compute_host_resource.name");
batch!(POOL_ROOM, "claim room on storage pools", { pool id, bytes_claimed int, bytes_released int },
    "UPDATE storage_pool_room SET
        bytes_used = bytes_used - r.bytes_released + r.bytes_claimed,
        bytes_ceiling = CASE WHEN bytes_used - r.bytes_released + r.bytes_claimed > bytes_limit
            THEN bytes_used - r.bytes_released + r.bytes_claimed ELSE bytes_limit END
     FROM r WHERE storage_pool_room.id = r.pool
        AND (r.bytes_claimed = 0 OR bytes_used - r.bytes_released + r.bytes_claimed <= bytes_limit)
     RETURNING id, bytes_used, bytes_ceiling");
batch!(HOST_LIMITS, "look at the room of compute hosts", { id id },
    "SELECT h.id, h.vcpus_limit, h.vcpus_used, h.memory_limit, h.memory_used
     FROM r JOIN compute_host_room h ON h.id = r.id");
batch!(RESOURCE_LIMITS, "look at the resources of compute hosts", { compute_host id, name text },
    "SELECT o.compute_host, o.name, o.amount_limit, o.amount_used
     FROM r JOIN compute_host_resource o ON o.compute_host = r.compute_host AND o.name = r.name");
batch!(POOL_LIMITS, "look at the room of storage pools", { id id },
    "SELECT p.id, p.bytes_limit, p.bytes_used FROM r JOIN storage_pool_room p ON p.id = r.id");

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[
    &INSERT_INSTANCE,
    &INSTANCE_STATE,
    &INSTANCE_DECISION,
    &INSTANCE_LAST_HOST,
    &DELETE_INSTANCE,
    &INSERT_RUN,
    &OBSERVE_RUN,
    &DELETE_RUN,
    &INSERT_NIC,
    &MAC_TAKEN,
    &CLAIM_ADDRESS,
    &DELETE_NIC,
    &INSERT_VOLUME,
    &INSERT_ATTACHMENT,
    &DELETE_ATTACHMENT,
    &DELETE_ROOT_ATTACHMENT,
    &VOLUME_READY,
    &VOLUME_STATE,
    &DELETE_VOLUME,
    &INSERT_LAYER,
    &LAYER_READY,
    &DELETE_LAYER,
    &INSERT_PUBLICATION,
    &PUBLICATION_READY,
    &IDENTITY_TAKEN,
    &DELETE_PUBLICATION,
    &HOST_ROOM,
    &RESOURCE_ROOM,
    &POOL_ROOM,
    &HOST_LIMITS,
    &RESOURCE_LIMITS,
    &POOL_LIMITS,
];
