//! The resources of the API: their collections, and the types that travel.

use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;
use velum_wire as wire;

use crate::{Client, Collection};

/// A resource of the API.
pub trait Resource {
    /// Its collection under `/v1/`.
    const COLLECTION: &'static str;
    /// How one is shown.
    type View: Serialize + DeserializeOwned + Clone + std::fmt::Debug + Send + Sync + 'static;
}

/// A resource with an id of its own.
pub trait Identified: Resource {
    /// The id of one.
    fn id(view: &Self::View) -> Uuid;
}

/// A resource that callers make.
pub trait Creates: Resource {
    /// What is sent for that.
    type Body: Serialize + Send + Sync;
}

/// A resource that callers change.
pub trait Updates: Resource {
    /// What is sent for that: only what it names changes.
    type Body: Serialize + Send + Sync;
}

macro_rules! resources {
    ($($(#[$doc:meta])* $name:ident $method:ident $path:literal $view:ident
        $(create $create:ident)? $(update $update:ident)?;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub enum $name {}

            impl Resource for $name {
                const COLLECTION: &'static str = $path;
                type View = wire::$view;
            }
            $(impl Creates for $name {
                type Body = wire::$create;
            })?
            $(impl Updates for $name {
                type Body = wire::$update;
            })?
        )*

        impl Client {
            $(
                $(#[$doc])*
                #[must_use]
                pub const fn $method(&self) -> Collection<'_, $name> {
                    Collection::new(self)
                }
            )*
        }
    };
}

resources! {
    /// Zones: data centres.
    Zones zones "zones" ZoneView create CreateZoneBody update UpdateZoneBody;
    /// Pods: racks.
    Pods pods "pods" PodView create CreatePodBody update UpdatePodBody;
    /// Clusters of compute hosts that are alike.
    Clusters clusters "clusters" ClusterView create CreateClusterBody update UpdateClusterBody;
    /// Compute hosts: machines that run guests.
    ComputeHosts compute_hosts "compute-hosts" ComputeHostView create CreateComputeHostBody update UpdateComputeHostBody;
    /// Primary storage pools.
    StoragePools storage_pools "storage-pools" StoragePoolView create CreateStoragePoolBody update UpdateStoragePoolBody;
    /// Image stores: secondary storage.
    ImageStores image_stores "image-stores" ImageStoreView create CreateImageStoreBody;
    /// Ranges of addresses.
    IpRanges ip_ranges "ip-ranges" IpRangeView create CreateIpRangeBody;
    /// Claimed addresses.
    IpAddresses ip_addresses "ip-addresses" IpAddressView;
    /// Networks.
    Networks networks "networks" NetworkView create CreateNetworkBody update UpdateNetworkBody;
    /// Network interfaces.
    Nics nics "nics" NicView;
    /// Shapes of instances.
    ComputeOfferings compute_offerings "compute-offerings" ComputeOfferingView
        create CreateComputeOfferingBody update UpdateComputeOfferingBody;
    /// Shapes of volumes.
    DiskOfferings disk_offerings "disk-offerings" DiskOfferingView
        create CreateDiskOfferingBody update UpdateDiskOfferingBody;
    /// Shapes of networks.
    NetworkOfferings network_offerings "network-offerings" NetworkOfferingView
        create CreateNetworkOfferingBody update UpdateNetworkOfferingBody;
    /// Templates: images that root volumes are cloned from.
    Templates templates "templates" TemplateView create CreateTemplateBody;
    /// Affinity groups.
    AffinityGroups affinity_groups "affinity-groups" AffinityGroupView
        create CreateAffinityGroupBody update UpdateAffinityGroupBody;
    /// Instances.
    Instances instances "instances" InstanceView create CreateInstanceBody;
    /// Volumes.
    Volumes volumes "volumes" VolumeView create CreateVolumeBody;
    /// Operations.
    Operations operations "operations" OperationView;
    /// What is at the far sides and no row owns.
    Orphans orphans "orphans" OrphanView;
    /// Events.
    Events events "events" EventView;
    /// Decisions.
    Decisions decisions "decisions" DecisionView;
    /// Plugins.
    Plugins plugins "plugins" PluginView;
    /// Publishers of plugins.
    Publishers publishers "publishers" PublisherView create CreatePublisherBody update UpdatePublisherBody;
    /// Policies.
    Policies policies "policies" PolicyView create CreatePolicyBody update UpdatePolicyBody;
}

macro_rules! identified {
    ($($name:ident)*) => {$(
        impl Identified for $name {
            fn id(view: &Self::View) -> Uuid {
                view.id
            }
        }
    )*};
}

identified! {
    Zones Pods Clusters ComputeHosts StoragePools ImageStores IpRanges IpAddresses Networks Nics ComputeOfferings
    DiskOfferings NetworkOfferings Templates AffinityGroups Instances Volumes Operations Orphans Decisions Plugins Policies Publishers
}
