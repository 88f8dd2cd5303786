//! Reading: single rows and pages. A foreign id is not found (law 13).

use std::sync::Arc;

use velum_model::{
    affinity::AffinityGroup,
    decision::Decision,
    id::*,
    infrastructure::*,
    instance::Instance,
    operation::{Event, Operation},
    orphan::Orphan,
    page::{Page, Paged},
    plugin::{Plugin, Policy},
    storage::{Template, Volume},
    tenancy::Caller,
    trust::Publisher,
};
use velum_store::*;

use crate::{
    error::ServiceError,
    services::Services,
    write::{administer, is_visible},
};

/// Pages of the event log that one request looks through for a match: at 500 events each that is some 100 ms of
/// reading. The caller goes on from the position that it is answered.
const LOOKED_THROUGH: u32 = 64;

/// Rows of the operator: `administered` ones only the administrator sees.
macro_rules! operators_rows {
    ($($what:literal $right:ident: $row:ty, $id:ty, $filter:ty, $get:ident = $one:ident, $list:ident = $many:ident;)*) => {
        impl Services {$(
            #[doc = concat!("A ", $what, ".")]
            ///
            /// # Errors
            /// It does not exist, or the database failed.
            pub async fn $get(&self, caller: &Caller, id: $id) -> Result<$row, ServiceError> {
                operators_rows!(@$right caller, $what);
                let row = self.read().$one(id).await;
                row.map_err(|error| ServiceError::from_store(concat!("read the ", $what), error))?
                    .ok_or_else(|| ServiceError::not_found($what, id))
            }

            #[doc = concat!("Rows of ", $what, " that match.")]
            ///
            /// # Errors
            /// The database failed.
            pub async fn $list(
                &self,
                caller: &Caller,
                filter: &$filter,
                page: Page,
            ) -> Result<Paged<$row>, ServiceError> {
                operators_rows!(@$right caller, $what);
                let rows = self.read().$many(filter, page).await;
                rows.map_err(|error| ServiceError::from_store(concat!("list rows of ", $what), error))
            }
        )*}
    };
    (@administered $caller:ident, $what:literal) => { administer($caller, $what)? };
    (@open $caller:ident, $what:literal) => { let _ = $caller; };
}

operators_rows! {
    "pod" administered: Pod, PodId, PodFilter, pod_get = pod, pod_list = pods;
    "cluster" administered: Cluster, ClusterId, ClusterFilter, cluster_get = cluster, cluster_list = clusters;
    "compute host" administered: ComputeHost, ComputeHostId, ComputeHostFilter,
        compute_host_get = compute_host, compute_host_list = compute_hosts;
    "storage pool" administered: StoragePool, StoragePoolId, StoragePoolFilter,
        storage_pool_get = storage_pool, storage_pool_list = storage_pools;
    "image store" administered: ImageStore, ImageStoreId, ImageStoreFilter,
        image_store_get = image_store, image_store_list = image_stores;
    "ip range" administered: IpRange, IpRangeId, IpRangeFilter, ip_range_get = ip_range, ip_range_list = ip_ranges;
    "ip address" administered: IpAddress, IpAddressId, IpAddressFilter,
        ip_address_get = ip_address, ip_address_list = ip_addresses;
    "compute offering" open: ComputeOffering, ComputeOfferingId, ComputeOfferingFilter,
        compute_offering_get = compute_offering, compute_offering_list = compute_offerings;
    "disk offering" open: DiskOffering, DiskOfferingId, DiskOfferingFilter,
        disk_offering_get = disk_offering, disk_offering_list = disk_offerings;
    "network offering" open: NetworkOffering, NetworkOfferingId, NetworkOfferingFilter,
        network_offering_get = network_offering, network_offering_list = network_offerings;
    "plugin" administered: Plugin, PluginId, PluginFilter, plugin_get = plugin, plugin_list = plugins;
    "orphan" administered: Orphan, OrphanId, OrphanFilter, orphan_get = orphan, orphan_list = orphans;
    "publisher" administered: Publisher, PublisherId, PublisherFilter,
        publisher_get = publisher, publisher_list = publishers;
    "policy" administered: Policy, PolicyId, PolicyFilter, policy_get = policy, policy_list = policies;
}

/// Rows that belong to a project.
macro_rules! tenants_rows {
    ($($what:literal: $row:ty, $id:ty, $filter:ty, $get:ident = $one:ident, $list:ident = $many:ident;)*) => {
        impl Services {$(
            #[doc = concat!("The ", $what, " with this id, if the caller may see it.")]
            ///
            /// # Errors
            /// It does not exist, or the database failed.
            pub async fn $get(&self, caller: &Caller, id: $id) -> Result<$row, ServiceError> {
                let row = self.read().$one(caller.scope, id).await;
                row.map_err(|error| ServiceError::from_store(concat!("read the ", $what), error))?
                    .ok_or_else(|| ServiceError::not_found($what, id))
            }

            #[doc = concat!("Rows of ", $what, " that match and that the caller may see.")]
            ///
            /// # Errors
            /// The database failed.
            pub async fn $list(
                &self,
                caller: &Caller,
                filter: &$filter,
                page: Page,
            ) -> Result<Paged<$row>, ServiceError> {
                let rows = self.read().$many(caller.scope, filter, page).await;
                rows.map_err(|error| ServiceError::from_store(concat!("list rows of ", $what), error))
            }
        )*}
    };
}

tenants_rows! {
    "network": Network, NetworkId, NetworkFilter, network_get = network, network_list = networks;
    "affinity group": AffinityGroup, AffinityGroupId, AffinityGroupFilter,
        affinity_group_get = affinity_group, affinity_group_list = affinity_groups;
    "nic": Nic, NicId, NicFilter, nic_get = nic, nic_list = nics;
    "template": Template, TemplateId, TemplateFilter, template_get = template, template_list = templates;
    "instance": Instance, InstanceId, InstanceFilter, instance_get = instance, instance_list = instances;
    "volume": Volume, VolumeId, VolumeFilter, volume_get = volume, volume_list = volumes;
    "operation": Operation, OperationId, OperationFilter, operation_get = operation, operation_list = operations;
    "decision": Decision, DecisionId, DecisionFilter, decision_get = decision, decision_list = decisions;
}

impl Services {
    /// A zone.
    ///
    /// # Errors
    /// It does not exist, or the database failed.
    pub async fn zone_get(&self, caller: &Caller, id: ZoneId) -> Result<Zone, ServiceError> {
        let zone = self.read().zone(id).await;
        zone.map_err(|error| ServiceError::from_store("read the zone", error))?
            .filter(|zone| is_visible(caller, zone))
            .ok_or_else(|| ServiceError::not_found("zone", id))
    }

    /// The zone of a row that the caller may see. Whoever has something there goes on with it and removes it, though the zone was made
    /// private and nothing new may begin there.
    pub(crate) async fn zone_of(&self, id: ZoneId) -> Result<Arc<Zone>, ServiceError> {
        let zone = self.zone_row(id).await;
        zone.map_err(|error| ServiceError::from_store("read the zone", error))?
            .ok_or_else(|| ServiceError::not_found("zone", id))
    }

    /// Zones that match and that the caller may use.
    ///
    /// # Errors
    /// The database failed.
    pub async fn zone_list(
        &self,
        caller: &Caller,
        filter: &ZoneFilter,
        page: Page,
    ) -> Result<Paged<Zone>, ServiceError> {
        let zones = self.read().zones(filter, page).await;
        let mut zones = zones.map_err(|error| ServiceError::from_store("list the zones", error))?;
        zones.items.retain(|zone| is_visible(caller, zone));
        Ok(zones)
    }

    /// Events after a position that the caller may see, with the position behind the last that was looked at. Oldest
    /// first. No more now when the position did not move.
    ///
    /// # Errors
    /// The database failed.
    pub async fn event_list(
        &self,
        caller: &Caller,
        filter: &EventFilter,
        after: &EventCursor,
        limit: u32,
    ) -> Result<(Vec<Event>, EventCursor), ServiceError> {
        let unread = |error| ServiceError::from_store("read the event log", error);
        if *filter != EventFilter::default() {
            let reader = self.read();
            let found = reader.events_that_match(caller.scope, filter, after, limit).await;
            return found.map_err(unread);
        }
        let mut cursor = after.clone();
        for looked_through in 1.. {
            let events = self.read().events_after(&cursor, limit).await.map_err(unread)?;
            let is_last = events.len() < limit as usize;
            for event in &events {
                cursor.advance(event);
            }
            let seen: Vec<Event> = events
                .into_iter()
                .filter(|event| caller.scope.sees(event.project))
                .collect();
            // A page without any match is no end of the log: the next one may have some.
            if is_last || !seen.is_empty() || looked_through == LOOKED_THROUGH {
                return Ok((seen, cursor));
            }
        }
        Ok((Vec::new(), cursor))
    }

    /// Where the event log ends now: where a subscriber who wants only what is new begins.
    ///
    /// # Errors
    /// The database failed.
    pub async fn event_end(&self) -> Result<EventCursor, ServiceError> {
        let end = self.read().end_of_events().await;
        end.map_err(|error| ServiceError::from_store("read the event log", error))
    }
}
