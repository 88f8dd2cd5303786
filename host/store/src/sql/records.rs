//! Rows that an operator makes: zones, pods, clusters, compute hosts, pools, networks, offerings.

use super::{batch, insert, update};
#[cfg(test)]
use crate::db::Statement;

insert!(INSERT_SHARD, "shard", { id id, epoch int, holder text, lease_until int, next_seq int, retired int });
insert!(INSERT_ZONE, "zone", {
    id id, name text, owner id, shard id, policy id, pool_policy id, generation int, created_at int
});
update!(UPDATE_ZONE, "zone", { name text, owner id, policy id, pool_policy id });
insert!(INSERT_POD, "pod", {
    id id, zone id, name text, cidr text, first_address int, last_address int, gateway int, dedicated_to id,
    generation int, created_at int
});
update!(UPDATE_POD, "pod", { name text, dedicated_to id });
insert!(INSERT_CLUSTER, "cluster", {
    id id, zone id, pod id, shard id, name text, driver text, cpu_overcommit int, memory_overcommit int,
    dedicated_to id, generation int, created_at int
});
update!(UPDATE_CLUSTER, "cluster", {
    name text, cpu_overcommit int, memory_overcommit int, dedicated_to id
});
insert!(INSERT_COMPUTE_HOST, "compute_host", {
    id id, zone id, pod id, cluster id, name text, driver text, config text, node text, endpoint text,
    private_address int, vcpus int, memory int, tags text, attributes text, abilities text, intent text,
    dedicated_to id, generation int, created_at int
});
update!(UPDATE_COMPUTE_HOST, "compute_host", {
    name text, driver text, config text, node text, endpoint text, vcpus int, memory int, tags text,
    attributes text, abilities text, intent text, dedicated_to id
});
insert!(INSERT_STORAGE_POOL, "storage_pool", {
    id id, zone id, scope_cluster id, scope_host id, name text, provider text, config text, node text,
    endpoint text, credential text, capacity int, tags text, attributes text, abilities text, intent text,
    generation int, created_at int
});
update!(UPDATE_STORAGE_POOL, "storage_pool", {
    name text, provider text, config text, node text, endpoint text, credential text, capacity int, tags text,
    attributes text, abilities text, intent text
});
insert!(INSERT_IMAGE_STORE, "image_store", {
    id id, zone id, name text, place text, generation int, created_at int
});
insert!(INSERT_NETWORK, "network", {
    id id, zone id, project id, offering id, name text, cidr text, first_address int, last_address int,
    gateway int, dns text, link text, generation int, created_at int
});
update!(UPDATE_NETWORK, "network", { name text, dns text });
insert!(INSERT_IP_RANGE, "ip_range", {
    id id, zone id, network id, pod id, first_address int, last_address int, generation int, created_at int
});
insert!(INSERT_COMPUTE_OFFERING, "compute_offering", {
    id id, name text, vcpus int, memory int, resources text, host_tags text, storage_tags text, policy id,
    expected_lifetime_s int, generation int, created_at int
});
update!(UPDATE_COMPUTE_OFFERING, "compute_offering", {
    name text, host_tags text, storage_tags text, policy id, expected_lifetime_s int
});
insert!(INSERT_DISK_OFFERING, "disk_offering", {
    id id, name text, size int, storage_tags text, generation int, created_at int
});
update!(UPDATE_DISK_OFFERING, "disk_offering", { name text, storage_tags text });
insert!(INSERT_NETWORK_OFFERING, "network_offering", {
    id id, name text, kind text, generation int, created_at int
});
update!(UPDATE_NETWORK_OFFERING, "network_offering", { name text });

batch!(POD_OVERLAPS, "look for overlapping pods", { id id },
    "SELECT p.id, o.id, o.name FROM r JOIN pod p ON p.id = r.id JOIN pod o ON o.zone = p.zone
     WHERE o.id <> p.id AND o.first_address <= p.last_address AND p.first_address <= o.last_address");
batch!(RANGE_OVERLAPS, "look for overlapping address ranges", { id id },
    "SELECT p.id, o.id, CAST('an address range' AS TEXT) FROM r JOIN ip_range p ON p.id = r.id JOIN ip_range o
     ON o.network = p.network
     WHERE o.id <> p.id AND o.first_address <= p.last_address AND p.first_address <= o.last_address
     UNION ALL SELECT p.id, o.id, CAST('an address range' AS TEXT) FROM r JOIN ip_range p ON p.id = r.id JOIN ip_range o
     ON o.pod = p.pod
     WHERE o.id <> p.id AND o.first_address <= p.last_address AND p.first_address <= o.last_address");
batch!(RANGE_OUTSIDE, "look for address ranges outside of their network", { id id },
    "SELECT p.id, p.id, n.cidr FROM r JOIN ip_range p ON p.id = r.id JOIN network n ON n.id = p.network
     WHERE p.first_address < n.first_address OR p.last_address > n.last_address
     UNION ALL SELECT p.id, p.id, n.cidr FROM r JOIN ip_range p ON p.id = r.id JOIN pod n ON n.id = p.pod
     WHERE p.first_address < n.first_address OR p.last_address > n.last_address");

batch!(INSERT_HOST_ROOM, "insert the room of compute hosts", { id id },
    "INSERT INTO compute_host_room
        (id, vcpus_limit, vcpus_ceiling, vcpus_used, memory_limit, memory_ceiling, memory_used)
     SELECT h.id, h.vcpus * c.cpu_overcommit / 1000, h.vcpus * c.cpu_overcommit / 1000, 0,
        h.memory * c.memory_overcommit / 1000, h.memory * c.memory_overcommit / 1000, 0
     FROM r JOIN compute_host h ON h.id = r.id JOIN cluster c ON c.id = h.cluster WHERE true RETURNING id");
batch!(HOST_ROOM_FOLLOWS, "change the room of compute hosts", { id id },
    "UPDATE compute_host_room SET vcpus_limit = n.vcpus, memory_limit = n.memory,
        vcpus_ceiling = CASE WHEN n.vcpus > vcpus_used THEN n.vcpus ELSE vcpus_used END,
        memory_ceiling = CASE WHEN n.memory > memory_used THEN n.memory ELSE memory_used END
     FROM (SELECT h.id AS host, h.vcpus * c.cpu_overcommit / 1000 AS vcpus,
        h.memory * c.memory_overcommit / 1000 AS memory
        FROM r JOIN compute_host h ON h.id = r.id JOIN cluster c ON c.id = h.cluster) AS n
     WHERE compute_host_room.id = n.host
     RETURNING id, vcpus_used, vcpus_ceiling, memory_used, memory_ceiling");
batch!(CLUSTER_ROOM_FOLLOWS, "change the room of a cluster's compute hosts", { id id },
    "UPDATE compute_host_room SET vcpus_limit = n.vcpus, memory_limit = n.memory,
        vcpus_ceiling = CASE WHEN n.vcpus > vcpus_used THEN n.vcpus ELSE vcpus_used END,
        memory_ceiling = CASE WHEN n.memory > memory_used THEN n.memory ELSE memory_used END
     FROM (SELECT h.id AS host, h.vcpus * c.cpu_overcommit / 1000 AS vcpus,
        h.memory * c.memory_overcommit / 1000 AS memory
        FROM r JOIN cluster c ON c.id = r.id JOIN compute_host h ON h.cluster = c.id) AS n
     WHERE compute_host_room.id = n.host
     RETURNING id, vcpus_used, vcpus_ceiling, memory_used, memory_ceiling");
// What is promised stays, and the ceiling is never below it.
batch!(STATE_RESOURCES, "state the resources of compute hosts", { compute_host id, name text, amount int },
    "INSERT INTO compute_host_resource (compute_host, name, amount_limit, amount_ceiling, amount_used)
     SELECT r.compute_host, r.name, r.amount, r.amount, 0 FROM r WHERE true
     ON CONFLICT (compute_host, name) DO UPDATE SET amount_limit = excluded.amount_limit,
        amount_ceiling = CASE WHEN excluded.amount_limit > compute_host_resource.amount_used
            THEN excluded.amount_limit ELSE compute_host_resource.amount_used END");
batch!(FORGET_RESOURCES, "forget resources that nobody has any more", { id id },
    "DELETE FROM compute_host_resource
     WHERE compute_host IN (SELECT id FROM r) AND amount_limit = 0 AND amount_used = 0");
batch!(CLAIM_PRIVATE_ADDRESS, "claim private addresses", { host id, address_id id, project id },
    "INSERT INTO ip_address (ip_range, address, id, project, nic, compute_host, created_at)
     SELECT i.id, h.private_address, r.address_id, r.project, NULL, h.id, h.created_at
     FROM r JOIN compute_host h ON h.id = r.host JOIN ip_range i ON i.pod = h.pod
        AND i.first_address <= h.private_address AND i.last_address >= h.private_address
     WHERE true ON CONFLICT DO NOTHING RETURNING compute_host");
batch!(PRIVATE_ADDRESS_HELD, "look who holds private addresses", { host id },
    "SELECT h.id FROM r JOIN compute_host h ON h.id = r.host JOIN ip_range i ON i.pod = h.pod
     JOIN ip_address a ON a.ip_range = i.id AND a.address = h.private_address");
batch!(OBSERVE_COMPUTE_HOST, "record what was seen of compute hosts", { id id, state text, boot_id text, seen_at int },
    "INSERT INTO compute_host_seen (id, state, boot_id, seen_at)
     SELECT r.id, r.state, r.boot_id, r.seen_at FROM r JOIN compute_host h ON h.id = r.id WHERE true
     ON CONFLICT (id) DO UPDATE SET state = excluded.state, boot_id = excluded.boot_id, seen_at = excluded.seen_at
     WHERE excluded.seen_at > compute_host_seen.seen_at RETURNING id");
batch!(INSERT_POOL_ROOM, "insert the room of storage pools", { id id },
    "INSERT INTO storage_pool_room (id, bytes_limit, bytes_ceiling, bytes_used)
     SELECT p.id, p.capacity, p.capacity, 0 FROM r JOIN storage_pool p ON p.id = r.id WHERE true RETURNING id");
batch!(POOL_ROOM_FOLLOWS, "change the room of storage pools", { id id },
    "UPDATE storage_pool_room SET bytes_limit = n.capacity,
        bytes_ceiling = CASE WHEN n.capacity > bytes_used THEN n.capacity ELSE bytes_used END
     FROM (SELECT p.id AS pool, p.capacity AS capacity FROM r JOIN storage_pool p ON p.id = r.id) AS n
     WHERE storage_pool_room.id = n.pool RETURNING id, bytes_used, bytes_ceiling");

insert!(INSERT_TEMPLATE, "template", {
    id id, zone id, project id, image_store id, name text, format text, upload_bytes int, received_bytes int,
    sha256 text, state text, failure text, virtual_bytes int, reference text, generation int, created_at int
});
batch!(TEMPLATE_RECEIVED, "record the bytes of an upload", { id id, received int },
    "UPDATE template SET received_bytes = r.received FROM r
     WHERE template.id = r.id AND template.received_bytes <= r.received AND r.received <= template.upload_bytes
     RETURNING template.id");
batch!(TEMPLATE_STATE, "change the state of a template",
    { id id, state text, failure text, virtual_bytes int, reference text },
    "UPDATE template SET state = r.state, failure = r.failure, generation = template.generation + 1,
        virtual_bytes = COALESCE(r.virtual_bytes, template.virtual_bytes),
        reference = COALESCE(r.reference, template.reference)
     FROM r WHERE template.id = r.id RETURNING template.id");

macro_rules! deletes {
    ($($name:ident $table:literal;)*) => {$(
        batch!($name, concat!("delete from ", $table), { id id, generation int },
            "DELETE FROM ", $table, " WHERE id IN (SELECT r.id FROM r JOIN ", $table,
            " t ON t.id = r.id WHERE r.generation = 0 OR r.generation = t.generation) RETURNING id");
    )*};
}
deletes! {
    DELETE_STORAGE_POOL "storage_pool";
    DELETE_TEMPLATE "template";
    DELETE_COMPUTE_HOST "compute_host";
    DELETE_IP_RANGE "ip_range";
    DELETE_NETWORK "network";
    DELETE_IMAGE_STORE "image_store";
    DELETE_CLUSTER "cluster";
    DELETE_POD "pod";
    DELETE_ZONE "zone";
    DELETE_COMPUTE_OFFERING "compute_offering";
    DELETE_DISK_OFFERING "disk_offering";
    DELETE_NETWORK_OFFERING "network_offering";
    DELETE_POLICY "policy";
    DELETE_PUBLISHER "publisher";
}
batch!(DELETE_PLUGIN, "delete from plugin", { id id, generation int },
    "DELETE FROM plugin WHERE id IN (SELECT id FROM r) RETURNING id");
batch!(RETIRE_SHARD, "retire shards", { id id },
    "UPDATE shard SET retired = 1 FROM r WHERE shard.id = r.id AND NOT EXISTS
     (SELECT 1 FROM zone z WHERE z.shard = r.id) RETURNING shard.id");

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[
    &INSERT_SHARD,
    &INSERT_ZONE,
    &UPDATE_ZONE,
    &INSERT_POD,
    &UPDATE_POD,
    &INSERT_CLUSTER,
    &UPDATE_CLUSTER,
    &INSERT_COMPUTE_HOST,
    &UPDATE_COMPUTE_HOST,
    &INSERT_STORAGE_POOL,
    &UPDATE_STORAGE_POOL,
    &INSERT_IMAGE_STORE,
    &INSERT_NETWORK,
    &UPDATE_NETWORK,
    &INSERT_IP_RANGE,
    &INSERT_COMPUTE_OFFERING,
    &UPDATE_COMPUTE_OFFERING,
    &INSERT_DISK_OFFERING,
    &UPDATE_DISK_OFFERING,
    &INSERT_NETWORK_OFFERING,
    &UPDATE_NETWORK_OFFERING,
    &POD_OVERLAPS,
    &RANGE_OVERLAPS,
    &RANGE_OUTSIDE,
    &INSERT_HOST_ROOM,
    &HOST_ROOM_FOLLOWS,
    &CLUSTER_ROOM_FOLLOWS,
    &STATE_RESOURCES,
    &FORGET_RESOURCES,
    &CLAIM_PRIVATE_ADDRESS,
    &PRIVATE_ADDRESS_HELD,
    &OBSERVE_COMPUTE_HOST,
    &INSERT_POOL_ROOM,
    &POOL_ROOM_FOLLOWS,
    &INSERT_TEMPLATE,
    &TEMPLATE_RECEIVED,
    &TEMPLATE_STATE,
    &DELETE_STORAGE_POOL,
    &DELETE_TEMPLATE,
    &DELETE_COMPUTE_HOST,
    &DELETE_IP_RANGE,
    &DELETE_NETWORK,
    &DELETE_IMAGE_STORE,
    &DELETE_CLUSTER,
    &DELETE_POD,
    &DELETE_ZONE,
    &DELETE_COMPUTE_OFFERING,
    &DELETE_DISK_OFFERING,
    &DELETE_NETWORK_OFFERING,
    &DELETE_POLICY,
    &DELETE_PUBLISHER,
    &DELETE_PLUGIN,
    &RETIRE_SHARD,
];
