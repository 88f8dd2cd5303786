//! Use cases: authorize, ask, decide, commit.
//!
//! One file a verb, in a folder a resource; each is a method of [`Services`] named `<resource>_<verb>`:
//! - `x_get(&self, caller, id) -> Result<X, ServiceError>`
//! - `x_list(&self, caller, &XFilter, Page) -> Result<Paged<X>, ServiceError>`
//! - `x_create(&self, caller, NewX, Option<Keyed<X>>) -> Result<Answered<X>, ServiceError>`; what takes time is
//!   `Keyed<Accepted<X>>` and `Answered<Accepted<X>>`
//! - `x_change(&self, caller, id, expected, ChangeX) -> Result<X, ServiceError>` and
//!   `x_delete(&self, caller, id, expected) -> Result<(), ServiceError>`: `expected` is the generation of `If-Match`
//!
//! A method makes one commit at most. Plugins and sockets are asked before it, never inside (law 4).

mod affinity_groups;
mod catalog;
mod clusters;
mod compute_hosts;
mod decisions;
mod desk;
mod error;
mod follow;
mod history;
mod image_stores;
mod instances;
mod ip_ranges;
mod networks;
mod nodes;
mod offerings;
mod operations;
mod owners;
mod planner;
mod plugins;
mod pods;
mod policies;
mod publishers;
mod records;
mod request;
mod services;
mod settings;
mod storage_pools;
mod targets;
mod templates;
mod volumes;
mod watch;
mod write;
mod zones;

pub use affinity_groups::{ChangeAffinityGroup, NewAffinityGroup};
pub use clusters::{ChangeCluster, NewCluster};
pub use compute_hosts::{ChangeComputeHost, NewComputeHost};
pub use decisions::{EVALUATED_MAX, EVALUATION_MS, Evaluated, NewEvaluation, OtherPolicy, Replayed, Sample};
pub use error::{LEASE_S, ServiceError};
pub use image_stores::NewImageStore;
pub use instances::{BATCH_MAX, Batch, InstanceDetail, NICS_MAX, NewInstance, NewInstances, NewNic, Why};
pub use ip_ranges::NewIpRange;
pub use networks::{ChangeNetwork, DNS_MAX, NewNetwork};
pub use nodes::{JoinedNode, MadeNodeToken, NewNode, TOKEN_VALID_MAX_S, TOKEN_VALID_MIN_S, TOKEN_VALID_S};
pub use offerings::{
    ChangeComputeOffering, ChangeDiskOffering, ChangeNetworkOffering, NewComputeOffering, NewDiskOffering,
    NewNetworkOffering,
};
pub use operations::{OperatorsWord, REASON_MAX};
pub use plugins::{Activated, Activating, NewPlugin, PluginDetail, load_plugin};
pub use pods::{ChangePod, NewPod};
pub use policies::{ChangePolicy, NewPolicy, NewShadow, PluginChoice, ShadowReport};
pub use publishers::{ChangePublisher, NewPublisher};
pub use request::{Accepted, Answered, Keyed, Render};
pub use services::{Parts, Services};
pub use settings::{Probation, Settings, Unsigned};
pub use storage_pools::{ChangeStoragePool, NewStoragePool};
pub use templates::{CHUNK_MAX, NewTemplate, Upload};
pub use velum_operation::parked::Verb as OperatorVerb;
pub use velum_placement::{Candidate, Move, Outcome, Packing, Says, Tally};
pub use velum_store::{
    AffinityGroupFilter, ClusterFilter, ComputeHostFilter, ComputeOfferingFilter, DecisionFilter,
    DiskOfferingFilter, EventCursor, EventCursorError, EventFilter, ImageStoreFilter, InstanceFilter,
    IpAddressFilter, IpRangeFilter, NetworkFilter, NetworkOfferingFilter, NicFilter, OperationFilter,
    OrphanFilter, Owner, PluginFilter, PodFilter, PolicyFilter, PublisherFilter, StoragePoolFilter,
    StoredAnswer, TemplateFilter, VolumeFilter, ZoneFilter,
};
pub use volumes::{NewVolume, SLOTS};
pub use watch::Watch;
pub use zones::{ChangeZone, NewZone};
