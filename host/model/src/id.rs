//! Identifiers have kinds: a volume's id cannot be passed where an instance's is wanted.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The identifier of a noun `Of`. On the wire and in the database it is a UUID; new ones are version 7, so that rows
/// made together lie together.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id<Of>(Uuid, #[serde(skip)] PhantomData<fn() -> Of>);

impl<Of> Id<Of> {
    /// Gives a UUID its kind. Callers are the border (a parsed request) and the store (a row); all else asks
    /// [`crate::chance::Ids`].
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// The bare UUID, for the wire and the database.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl<Of> Clone for Id<Of> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<Of> Copy for Id<Of> {}
impl<Of> PartialEq for Id<Of> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<Of> Eq for Id<Of> {}
impl<Of> PartialOrd for Id<Of> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<Of> Ord for Id<Of> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<Of> std::hash::Hash for Id<Of> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<Of> fmt::Debug for Id<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl<Of> fmt::Display for Id<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl<Of> FromStr for Id<Of> {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self::from_uuid)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $id:ident of $kind:ident;)*) => {$(
        #[doc = concat!("The kind of a [`", stringify!($id), "`].")]
        #[derive(Debug)]
        pub enum $kind {}
        $(#[$doc])*
        pub type $id = Id<$kind>;
    )*};
}

kinds! {
    /// A zone: a data centre.
    ZoneId of ZoneKind;
    /// A unit of ownership and ordering: today one a zone.
    ShardId of ShardKind;
    /// A pod: a rack.
    PodId of PodKind;
    /// A cluster of compute hosts that are alike.
    ClusterId of ClusterKind;
    /// A compute host: a machine that runs guests.
    ComputeHostId of ComputeHostKind;
    /// A primary storage pool.
    StoragePoolId of StoragePoolKind;
    /// A secondary (image) store.
    ImageStoreId of ImageStoreKind;
    /// A range of addresses, public or private.
    IpRangeId of IpRangeKind;
    /// One claimed address.
    IpAddressId of IpAddressKind;
    /// A network that NICs are plugged into.
    NetworkId of NetworkKind;
    /// A network interface of an instance.
    NicId of NicKind;
    /// A compute offering.
    ComputeOfferingId of ComputeOfferingKind;
    /// A disk offering.
    DiskOfferingId of DiskOfferingKind;
    /// A network offering.
    NetworkOfferingId of NetworkOfferingKind;
    /// A template: an image that root volumes are cloned from.
    TemplateId of TemplateKind;
    /// An instance: a tenant's machine, running or not.
    InstanceId of InstanceKind;
    /// An affinity group: instances that are to be near each other, or apart.
    AffinityGroupId of AffinityGroupKind;
    /// A run: one incarnation of an instance on one compute host.
    RunId of RunKind;
    /// A volume.
    VolumeId of VolumeKind;
    /// A layer: what a pool holds of a template.
    LayerId of LayerKind;
    /// An operation: the durable record of anything that takes time.
    OperationId of OperationKind;
    /// An orphan: something at a far side that no row owns.
    OrphanId of OrphanMark;
    /// A decision: why a guest is where it is.
    DecisionId of DecisionKind;
    /// An installed plugin (one digest).
    PluginId of PluginKind;
    /// A policy: a plugin's digest with a configuration, under a name.
    PolicyId of PolicyKind;
    /// A publisher of plugins.
    PublisherId of PublisherKind;
    /// A key of a publisher.
    PublisherKeyId of PublisherKeyKind;
    /// A shadow of a policy.
    ShadowId of ShadowKind;
    /// Which version of a plugin is active in a zone.
    ActivationId of ActivationKind;
    /// A project: the owner of a tenant's rows.
    ProjectId of ProjectKind;
    /// The node of a machine that joined.
    NodeId of NodeKind;
    /// A token that a machine joins with.
    NodeTokenId of NodeTokenKind;
    /// An API token.
    TokenId of TokenKind;
}
