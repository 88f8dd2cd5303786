//! How the hierarchy is read: zones to address ranges, offerings.

use std::{collections::BTreeMap, net::Ipv4Addr};

use uuid::Uuid;
use velum_model::{
    id::*,
    infrastructure::*,
    net::AddressRange,
    resource::{HostResource, ResourceName},
};

use super::{Reader, Stored};
use crate::{
    commit::StoreError,
    db::{Columns, Json, Row, Value, Word},
};

/// How each kind of row is read: its columns in the order of its SELECT.
macro_rules! stored {
    ($($kind:ty, $table:literal, $select:expr, |$columns:ident| $read:expr;)*) => {$(
        impl Stored for $kind {
            const TABLE: &'static str = $table;
            const SELECT: &'static str = $select;
            const ID: &'static str = concat!($table, ".id");

            fn read(row: &Row) -> Result<Self, StoreError> {
                let mut columns = row.columns($table);
                let $columns = &mut columns;
                Ok($read)
            }

            fn id(&self) -> Uuid {
                self.id.uuid()
            }
        }
    )*};
}
pub(super) use stored;

fn both(a: Option<Uuid>, b: Option<Uuid>) -> (Option<Uuid>, Option<Uuid>) {
    (a, b)
}

pub(super) fn json<T: serde::de::DeserializeOwned>(
    columns: &mut Columns<'_>,
    column: &'static str,
) -> Result<T, StoreError> {
    Ok(columns.take::<Json<T>>(column)?.0)
}

pub(super) fn named<T: serde::de::DeserializeOwned>(
    columns: &mut Columns<'_>,
    column: &'static str,
) -> Result<T, StoreError> {
    Ok(columns.take::<Word<T>>(column)?.0)
}

/// Total and used amounts by name, which the statement puts together.
fn host_resources(columns: &mut Columns<'_>) -> Result<BTreeMap<ResourceName, HostResource>, StoreError> {
    let found: Option<Json<BTreeMap<ResourceName, (u64, u64)>>> = columns.take("resources")?;
    let resource = |(name, (total, used))| (name, HostResource { total, used });
    Ok(found
        .into_iter()
        .flat_map(|found| found.0)
        .map(resource)
        .collect())
}

impl Reader {
    /// Those of some compute hosts (no more than a page of them) that exist, by name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn compute_hosts_of_all(&self, ids: &[ComputeHostId]) -> Result<Vec<ComputeHost>, StoreError> {
        let ids = ids.iter().map(|id| Value::from(*id));
        self.hanging_on("compute_host.id", ids, "compute_host.name, compute_host.id")
            .await
    }
}

stored! {
    Zone, "zone",
    "SELECT zone.id, zone.name, zone.owner, zone.shard, zone.policy, zone.pool_policy, zone.generation,
        zone.created_at FROM zone",
    |c| Zone {
        id: c.take("id")?,
        name: c.take("name")?,
        access: c.take::<Option<ProjectId>>("owner")?.map_or(ZoneAccess::Public, ZoneAccess::Private),
        shard: c.take("shard")?,
        policy: c.take("policy")?,
        pool_policy: c.take("pool_policy")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
    };
    Pod, "pod",
    "SELECT pod.id, pod.zone, pod.name, pod.cidr, pod.gateway, pod.dedicated_to, pod.generation, pod.created_at
     FROM pod",
    |c| Pod {
        id: c.take("id")?,
        zone: c.take("zone")?,
        name: c.take("name")?,
        cidr: c.take("cidr")?,
        gateway: c.take("gateway")?,
        dedicated_to: c.take("dedicated_to")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
    };
    Cluster, "cluster",
    "SELECT cluster.id, cluster.zone, cluster.pod, cluster.shard, cluster.name, cluster.driver,
        cluster.cpu_overcommit, cluster.memory_overcommit, cluster.dedicated_to, cluster.generation, cluster.created_at FROM cluster",
    |c| Cluster {
        id: c.take("id")?,
        zone: c.take("zone")?,
        pod: c.take("pod")?,
        shard: c.take("shard")?,
        name: c.take("name")?,
        driver: c.take("driver")?,
        cpu_overcommit: c.take("cpu_overcommit")?,
        memory_overcommit: c.take("memory_overcommit")?,
        dedicated_to: c.take("dedicated_to")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
    };
    ComputeHost, "compute_host",
    "SELECT compute_host.id, compute_host.zone, compute_host.pod, compute_host.cluster, compute_host.name,
        compute_host.driver, compute_host.config, compute_host.node, compute_host.endpoint,
        compute_host.private_address, compute_host.vcpus, compute_host.memory, room.vcpus_ceiling,
        room.memory_ceiling, room.vcpus_used, room.memory_used, compute_host.tags, compute_host.attributes,
        compute_host.abilities, compute_host.intent, compute_host.dedicated_to, seen.state, seen.boot_id, seen.seen_at,
        (SELECT '{' || string_agg('\"' || o.name || '\":[' || CAST(o.amount_limit AS TEXT) || ',' || CAST(o.amount_used AS TEXT)
            || ']', ',') || '}' FROM compute_host_resource o
         WHERE o.compute_host = compute_host.id AND (o.amount_limit > 0 OR o.amount_used > 0)),
        (SELECT MAX(b.until) FROM plugin_before b WHERE b.place = compute_host.id),
        compute_host.generation, compute_host.created_at
     FROM compute_host JOIN compute_host_room room ON room.id = compute_host.id
     LEFT JOIN compute_host_seen seen ON seen.id = compute_host.id",
    |c| ComputeHost {
        id: c.take("id")?,
        zone: c.take("zone")?,
        pod: c.take("pod")?,
        cluster: c.take("cluster")?,
        name: c.take("name")?,
        driver: c.take("driver")?,
        config: json(c, "config")?,
        node: c.take("node")?,
        endpoint: c.take("endpoint")?,
        private_address: c.take("private_address")?,
        vcpus: c.take("vcpus")?,
        memory: c.take("memory")?,
        vcpus_ceiling: c.take("vcpus_ceiling")?,
        memory_ceiling: c.take("memory_ceiling")?,
        vcpus_used: c.take("vcpus_used")?,
        memory_used: c.take("memory_used")?,
        tags: json(c, "tags")?,
        attributes: json(c, "attributes")?,
        abilities: json(c, "abilities")?,
        intent: named(c, "intent")?,
        dedicated_to: c.take("dedicated_to")?,
        observed: c.take::<Option<Word<HostState>>>("state")?.map_or(HostState::Unknown, |state| state.0),
        boot_id: c.take("boot_id")?,
        observed_at: c.take("seen_at")?,
        resources: host_resources(c)?,
        driven_since: c.take("until")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
    };
    StoragePool, "storage_pool",
    "SELECT storage_pool.id, storage_pool.zone, storage_pool.scope_cluster, storage_pool.scope_host,
        storage_pool.name, storage_pool.provider, storage_pool.config, storage_pool.node, storage_pool.endpoint,
        storage_pool.credential, storage_pool.capacity, room.bytes_ceiling, room.bytes_used, storage_pool.tags,
        storage_pool.attributes, storage_pool.abilities, storage_pool.intent,
        (SELECT MAX(b.until) FROM plugin_before b WHERE b.place = storage_pool.id), storage_pool.generation,
        storage_pool.created_at
     FROM storage_pool JOIN storage_pool_room room ON room.id = storage_pool.id",
    |c| StoragePool {
        id: c.take("id")?,
        zone: c.take("zone")?,
        scope: match both(c.take("scope_cluster")?, c.take("scope_host")?) {
            (Some(cluster), _) => PoolScope::Cluster(ClusterId::from_uuid(cluster)),
            (None, Some(host)) => PoolScope::ComputeHost(ComputeHostId::from_uuid(host)),
            (None, None) => PoolScope::Zone,
        },
        name: c.take("name")?,
        provider: c.take("provider")?,
        config: json(c, "config")?,
        node: c.take("node")?,
        endpoint: c.take("endpoint")?,
        credential: c.take("credential")?,
        capacity: c.take("capacity")?,
        bytes_ceiling: c.take("bytes_ceiling")?,
        bytes_used: c.take("bytes_used")?,
        tags: json(c, "tags")?,
        attributes: json(c, "attributes")?,
        abilities: json(c, "abilities")?,
        intent: named(c, "intent")?,
        driven_since: c.take("until")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
    };
    ImageStore, "image_store",
    "SELECT image_store.id, image_store.zone, image_store.name, image_store.place, image_store.generation,
        image_store.created_at FROM image_store",
    |c| ImageStore {
        id: c.take("id")?,
        zone: c.take("zone")?,
        name: c.take("name")?,
        place: json(c, "place")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
    };
    IpRange, "ip_range",
    "SELECT ip_range.id, ip_range.zone, ip_range.network, ip_range.pod, ip_range.first_address,
        ip_range.last_address, (SELECT COUNT(*) FROM ip_address a WHERE a.ip_range = ip_range.id),
        ip_range.generation, ip_range.created_at FROM ip_range",
    |c| IpRange {
        id: c.take("id")?,
        zone: c.take("zone")?,
        used_for: match both(c.take("network")?, c.take("pod")?) {
            (Some(network), _) => IpRangeUse::Public(NetworkId::from_uuid(network)),
            (None, pod) => IpRangeUse::Private(PodId::from_uuid(pod.unwrap_or_default())),
        },
        range: AddressRange { first: c.take("first_address")?, last: c.take("last_address")? },
        claimed: c.take("claimed")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
    };
    IpAddress, "ip_address",
    "SELECT ip_address.id, ip_address.ip_range, ip_address.address, ip_address.project, ip_address.nic,
        ip_address.compute_host, ip_address.created_at FROM ip_address",
    |c| IpAddress {
        id: c.take("id")?,
        range: c.take("ip_range")?,
        address: c.take::<Ipv4Addr>("address")?,
        project: c.take("project")?,
        holder: match both(c.take("nic")?, c.take("compute_host")?) {
            (Some(nic), _) => AddressHolder::Nic(NicId::from_uuid(nic)),
            (None, host) => AddressHolder::ComputeHost(ComputeHostId::from_uuid(host.unwrap_or_default())),
        },
        created_at: c.take("created_at")?,
    };
    Network, "network",
    "SELECT network.id, network.zone, network.project, network.offering, network.name, network.cidr,
        network.gateway, network.dns, network.link, network.generation, network.created_at FROM network",
    |c| Network {
        id: c.take("id")?,
        zone: c.take("zone")?,
        project: c.take("project")?,
        offering: c.take("offering")?,
        name: c.take("name")?,
        cidr: c.take("cidr")?,
        gateway: c.take("gateway")?,
        dns: json(c, "dns")?,
        link: json(c, "link")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
    };
    ComputeOffering, "compute_offering",
    "SELECT compute_offering.id, compute_offering.name, compute_offering.vcpus, compute_offering.memory,
        compute_offering.resources, compute_offering.host_tags, compute_offering.storage_tags, compute_offering.policy,
        compute_offering.expected_lifetime_s, compute_offering.generation, compute_offering.created_at FROM compute_offering",
    |c| ComputeOffering {
        id: c.take("id")?,
        name: c.take("name")?,
        vcpus: c.take("vcpus")?,
        memory: c.take("memory")?,
        resources: c.take("resources")?,
        host_tags: json(c, "host_tags")?,
        storage_tags: json(c, "storage_tags")?,
        policy: c.take("policy")?,
        expected_lifetime: c.take("expected_lifetime_s")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
    };
    DiskOffering, "disk_offering",
    "SELECT disk_offering.id, disk_offering.name, disk_offering.size, disk_offering.storage_tags,
        disk_offering.generation, disk_offering.created_at FROM disk_offering",
    |c| DiskOffering {
        id: c.take("id")?,
        name: c.take("name")?,
        size: c.take("size")?,
        storage_tags: json(c, "storage_tags")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
    };
    NetworkOffering, "network_offering",
    "SELECT network_offering.id, network_offering.name, network_offering.kind, network_offering.generation,
        network_offering.created_at FROM network_offering",
    |c| NetworkOffering {
        id: c.take("id")?,
        name: c.take("name")?,
        kind: named(c, "kind")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
    };
}
