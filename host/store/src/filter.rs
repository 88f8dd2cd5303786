//! Filters of lists: a row is listed when it matches every field that is set.

use std::net::Ipv4Addr;

use uuid::Uuid;
use velum_model::{
    Timestamp,
    affinity::AffinityKind,
    id::*,
    infrastructure::{HostState, Intent},
    instance::InstanceState,
    name::Name,
    operation::{OperationKindName, OperationState},
    orphan::OrphanKind,
    plugin::{Digest, World},
    storage::{TemplateState, VolumeState, VolumeUse},
};

macro_rules! filters {
    ($($(#[$doc:meta])* $filter:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $filter {$(
            $(#[$field_doc])*
            pub $field: Option<$kind>,
        )*}
    )*};
}

filters! {
    /// Of zones.
    ZoneFilter {
        /// By name.
        name: Name,
        /// Of one shard.
        shard: ShardId,
    }
    /// Of pods.
    PodFilter {
        /// By name.
        name: Name,
        /// In one zone.
        zone: ZoneId,
    }
    /// Of clusters.
    ClusterFilter {
        /// By name.
        name: Name,
        /// In one zone.
        zone: ZoneId,
        /// In one pod.
        pod: PodId,
    }
    /// Of compute hosts.
    ComputeHostFilter {
        /// By name.
        name: Name,
        /// In one zone.
        zone: ZoneId,
        /// In one pod.
        pod: PodId,
        /// In one cluster.
        cluster: ClusterId,
        /// With this intent.
        intent: Intent,
        /// Seen like this.
        observed: HostState,
    }
    /// Of storage pools.
    StoragePoolFilter {
        /// By name.
        name: Name,
        /// In one zone.
        zone: ZoneId,
        /// With the scope of one cluster.
        cluster: ClusterId,
        /// With the scope of one compute host.
        compute_host: ComputeHostId,
        /// With this intent.
        intent: Intent,
    }
    /// Of image stores.
    ImageStoreFilter {
        /// By name.
        name: Name,
        /// In one zone.
        zone: ZoneId,
    }
    /// Of address ranges.
    IpRangeFilter {
        /// In one zone.
        zone: ZoneId,
        /// Of one network.
        network: NetworkId,
        /// Of one pod.
        pod: PodId,
    }
    /// Of claimed addresses.
    IpAddressFilter {
        /// Out of one range.
        range: IpRangeId,
        /// Of one owner.
        project: ProjectId,
        /// This address.
        address: Ipv4Addr,
        /// Held by one NIC.
        nic: NicId,
        /// Held by one compute host.
        compute_host: ComputeHostId,
    }
    /// Of networks.
    NetworkFilter {
        /// By name.
        name: Name,
        /// In one zone.
        zone: ZoneId,
        /// Of one offering.
        offering: NetworkOfferingId,
    }
    /// Of NICs.
    NicFilter {
        /// Of one instance.
        instance: InstanceId,
        /// In one network.
        network: NetworkId,
        /// With this address.
        address: Ipv4Addr,
    }
    /// Of compute offerings.
    ComputeOfferingFilter {
        /// By name.
        name: Name,
    }
    /// Of disk offerings.
    DiskOfferingFilter {
        /// By name.
        name: Name,
    }
    /// Of network offerings.
    NetworkOfferingFilter {
        /// By name.
        name: Name,
    }
    /// Of templates.
    TemplateFilter {
        /// By name.
        name: Name,
        /// In one zone.
        zone: ZoneId,
        /// In one image store.
        image_store: ImageStoreId,
        /// In this state; the words of `Failed` do not count.
        state: TemplateState,
    }
    /// Of instances.
    InstanceFilter {
        /// By name.
        name: Name,
        /// In one zone.
        zone: ZoneId,
        /// In this state.
        state: InstanceState,
        /// With a run on this compute host.
        compute_host: ComputeHostId,
        /// Of one offering.
        offering: ComputeOfferingId,
        /// Made from one template.
        template: TemplateId,
        /// In one affinity group.
        affinity_group: AffinityGroupId,
    }
    /// Of affinity groups.
    AffinityGroupFilter {
        /// By name.
        name: Name,
        /// In one zone.
        zone: ZoneId,
        /// Of one kind.
        kind: AffinityKind,
    }
    /// Of volumes.
    VolumeFilter {
        /// By name.
        name: Name,
        /// In one zone.
        zone: ZoneId,
        /// On one pool.
        pool: StoragePoolId,
        /// Attached to one instance.
        instance: InstanceId,
        /// In this state.
        state: VolumeState,
        /// Root or data.
        used_as: VolumeUse,
    }
    /// Of operations.
    OperationFilter {
        /// Of one kind.
        kind: OperationKindName,
        /// In this state.
        state: OperationState,
        /// About one resource.
        subject: Uuid,
        /// About resources of one collection: one of [`velum_model::operation::Subject::COLLECTIONS`].
        collection: &'static str,
    }
    /// Of events.
    EventFilter {
        /// Of one kind.
        kind: String,
        /// About one resource.
        resource: Uuid,
        /// Done by one operation.
        operation: OperationId,
    }
    /// Of decisions.
    DecisionFilter {
        /// In one zone.
        zone: ZoneId,
        /// For one instance.
        instance: InstanceId,
        /// That found a place, or that did not.
        placed: bool,
        /// Not before this moment.
        since: Timestamp,
        /// Before this moment.
        until: Timestamp,
    }
    /// Of what no row owns.
    OrphanFilter {
        /// Of one kind.
        kind: OrphanKind,
        /// On one compute host.
        compute_host: ComputeHostId,
        /// On one storage pool.
        storage_pool: StoragePoolId,
    }
    /// Of plugins.
    PluginFilter {
        /// By name.
        name: Name,
        /// Of one version.
        version: String,
        /// Of one world.
        world: World,
        /// Of one digest.
        digest: Digest,
        /// Signed by one publisher.
        publisher: PublisherId,
        /// Signed with one key.
        key: PublisherKeyId,
    }
    /// Of publishers.
    PublisherFilter {
        /// By name.
        name: Name,
    }
    /// Of policies.
    PolicyFilter {
        /// By name.
        name: Name,
        /// Of one component.
        digest: Digest,
    }
}
