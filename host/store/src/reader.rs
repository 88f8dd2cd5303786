//! Reading: single rows by id, keyset pages, and what operations and placement ask.
//!
//! A single read answers `Ok(None)` for an id that does not exist or that the scope does not see; lists are ordered by
//! id. Every method fails only when the database does or a row does not read ([`StoreError`]).

use std::{collections::BTreeMap, net::Ipv4Addr};

use velum_model::{
    decision::Decision,
    id::*,
    infrastructure::*,
    instance::{Instance, Run},
    name::Name,
    operation::{Event, Operation, Subject},
    page::{Page, Paged},
    plugin::{Digest, Plugin, Policy},
    storage::{Layer, Publication, Template, Volume},
    tenancy::Scope,
    time::Timestamp,
};

use crate::{commit::StoreError, cursor::EventCursor, filter::*};

/// The reading side of the store: cheap to clone, any number at once.
#[derive(Clone)]
pub struct Reader {}

/// All that placement looks at in a zone.
#[derive(Clone, Debug, Default)]
pub struct ZoneInventory {
    /// Its compute hosts.
    pub hosts: Vec<ComputeHost>,
    /// Its pools.
    pub pools: Vec<StoragePool>,
    /// What its pools hold of templates.
    pub layers: Vec<Layer>,
    /// Its networks.
    pub networks: Vec<Network>,
    /// The address ranges of its networks, each with the addresses claimed.
    pub ranges: Vec<(IpRange, Vec<Ipv4Addr>)>,
    /// How many runs each compute host has; hosts without any are left out.
    pub runs_per_host: BTreeMap<ComputeHostId, u32>,
}

fn not_yet<T>() -> Result<T, StoreError> {
    Err(StoreError::Unusable("the store is being built".into()))
}

#[expect(clippy::missing_errors_doc, reason = "the module says it once for all")]
impl Reader {
    /// A zone.
    pub async fn zone(&self, _id: ZoneId) -> Result<Option<Zone>, StoreError> {
        not_yet()
    }

    /// Zones that match.
    pub async fn zones(&self, _filter: &ZoneFilter, _page: Page) -> Result<Paged<Zone>, StoreError> {
        not_yet()
    }

    /// A pod.
    pub async fn pod(&self, _id: PodId) -> Result<Option<Pod>, StoreError> {
        not_yet()
    }

    /// Pods that match.
    pub async fn pods(&self, _filter: &PodFilter, _page: Page) -> Result<Paged<Pod>, StoreError> {
        not_yet()
    }

    /// A cluster.
    pub async fn cluster(&self, _id: ClusterId) -> Result<Option<Cluster>, StoreError> {
        not_yet()
    }

    /// Clusters that match.
    pub async fn clusters(&self, _filter: &ClusterFilter, _page: Page) -> Result<Paged<Cluster>, StoreError> {
        not_yet()
    }

    /// A compute host.
    pub async fn compute_host(&self, _id: ComputeHostId) -> Result<Option<ComputeHost>, StoreError> {
        not_yet()
    }

    /// Compute hosts that match.
    pub async fn compute_hosts(
        &self,
        _filter: &ComputeHostFilter,
        _page: Page,
    ) -> Result<Paged<ComputeHost>, StoreError> {
        not_yet()
    }

    /// A storage pool.
    pub async fn storage_pool(&self, _id: StoragePoolId) -> Result<Option<StoragePool>, StoreError> {
        not_yet()
    }

    /// Storage pools that match.
    pub async fn storage_pools(
        &self,
        _filter: &StoragePoolFilter,
        _page: Page,
    ) -> Result<Paged<StoragePool>, StoreError> {
        not_yet()
    }

    /// An image store.
    pub async fn image_store(&self, _id: ImageStoreId) -> Result<Option<ImageStore>, StoreError> {
        not_yet()
    }

    /// Image stores that match.
    pub async fn image_stores(
        &self,
        _filter: &ImageStoreFilter,
        _page: Page,
    ) -> Result<Paged<ImageStore>, StoreError> {
        not_yet()
    }

    /// An address range.
    pub async fn ip_range(&self, _id: IpRangeId) -> Result<Option<IpRange>, StoreError> {
        not_yet()
    }

    /// Address ranges that match.
    pub async fn ip_ranges(
        &self,
        _filter: &IpRangeFilter,
        _page: Page,
    ) -> Result<Paged<IpRange>, StoreError> {
        not_yet()
    }

    /// A claimed address.
    pub async fn ip_address(&self, _id: IpAddressId) -> Result<Option<IpAddress>, StoreError> {
        not_yet()
    }

    /// Claimed addresses that match.
    pub async fn ip_addresses(
        &self,
        _filter: &IpAddressFilter,
        _page: Page,
    ) -> Result<Paged<IpAddress>, StoreError> {
        not_yet()
    }

    /// A network.
    pub async fn network(&self, _scope: Scope, _id: NetworkId) -> Result<Option<Network>, StoreError> {
        not_yet()
    }

    /// Networks that match.
    pub async fn networks(
        &self,
        _scope: Scope,
        _filter: &NetworkFilter,
        _page: Page,
    ) -> Result<Paged<Network>, StoreError> {
        not_yet()
    }

    /// A NIC.
    pub async fn nic(&self, _scope: Scope, _id: NicId) -> Result<Option<Nic>, StoreError> {
        not_yet()
    }

    /// NICs that match.
    pub async fn nics(
        &self,
        _scope: Scope,
        _filter: &NicFilter,
        _page: Page,
    ) -> Result<Paged<Nic>, StoreError> {
        not_yet()
    }

    /// A compute offering.
    pub async fn compute_offering(
        &self,
        _id: ComputeOfferingId,
    ) -> Result<Option<ComputeOffering>, StoreError> {
        not_yet()
    }

    /// Compute offerings that match.
    pub async fn compute_offerings(
        &self,
        _filter: &ComputeOfferingFilter,
        _page: Page,
    ) -> Result<Paged<ComputeOffering>, StoreError> {
        not_yet()
    }

    /// A disk offering.
    pub async fn disk_offering(&self, _id: DiskOfferingId) -> Result<Option<DiskOffering>, StoreError> {
        not_yet()
    }

    /// Disk offerings that match.
    pub async fn disk_offerings(
        &self,
        _filter: &DiskOfferingFilter,
        _page: Page,
    ) -> Result<Paged<DiskOffering>, StoreError> {
        not_yet()
    }

    /// A network offering.
    pub async fn network_offering(
        &self,
        _id: NetworkOfferingId,
    ) -> Result<Option<NetworkOffering>, StoreError> {
        not_yet()
    }

    /// Network offerings that match.
    pub async fn network_offerings(
        &self,
        _filter: &NetworkOfferingFilter,
        _page: Page,
    ) -> Result<Paged<NetworkOffering>, StoreError> {
        not_yet()
    }

    /// A template.
    pub async fn template(&self, _scope: Scope, _id: TemplateId) -> Result<Option<Template>, StoreError> {
        not_yet()
    }

    /// Templates that match.
    pub async fn templates(
        &self,
        _scope: Scope,
        _filter: &TemplateFilter,
        _page: Page,
    ) -> Result<Paged<Template>, StoreError> {
        not_yet()
    }

    /// An instance.
    pub async fn instance(&self, _scope: Scope, _id: InstanceId) -> Result<Option<Instance>, StoreError> {
        not_yet()
    }

    /// Instances that match.
    pub async fn instances(
        &self,
        _scope: Scope,
        _filter: &InstanceFilter,
        _page: Page,
    ) -> Result<Paged<Instance>, StoreError> {
        not_yet()
    }

    /// A volume.
    pub async fn volume(&self, _scope: Scope, _id: VolumeId) -> Result<Option<Volume>, StoreError> {
        not_yet()
    }

    /// Volumes that match.
    pub async fn volumes(
        &self,
        _scope: Scope,
        _filter: &VolumeFilter,
        _page: Page,
    ) -> Result<Paged<Volume>, StoreError> {
        not_yet()
    }

    /// An operation.
    pub async fn operation(&self, _scope: Scope, _id: OperationId) -> Result<Option<Operation>, StoreError> {
        not_yet()
    }

    /// Operations that match.
    pub async fn operations(
        &self,
        _scope: Scope,
        _filter: &OperationFilter,
        _page: Page,
    ) -> Result<Paged<Operation>, StoreError> {
        not_yet()
    }

    /// A decision.
    pub async fn decision(&self, _scope: Scope, _id: DecisionId) -> Result<Option<Decision>, StoreError> {
        not_yet()
    }

    /// Decisions that match.
    pub async fn decisions(
        &self,
        _scope: Scope,
        _filter: &DecisionFilter,
        _page: Page,
    ) -> Result<Paged<Decision>, StoreError> {
        not_yet()
    }

    /// A plugin.
    pub async fn plugin(&self, _id: PluginId) -> Result<Option<Plugin>, StoreError> {
        not_yet()
    }

    /// Plugins that match.
    pub async fn plugins(&self, _filter: &PluginFilter, _page: Page) -> Result<Paged<Plugin>, StoreError> {
        not_yet()
    }

    /// A policy.
    pub async fn policy(&self, _id: PolicyId) -> Result<Option<Policy>, StoreError> {
        not_yet()
    }

    /// Policies that match.
    pub async fn policies(&self, _filter: &PolicyFilter, _page: Page) -> Result<Paged<Policy>, StoreError> {
        not_yet()
    }

    /// The NICs of an instance, by slot.
    pub async fn nics_of(&self, _instance: InstanceId) -> Result<Vec<Nic>, StoreError> {
        not_yet()
    }

    /// The volumes of an instance, by slot.
    pub async fn volumes_of(&self, _instance: InstanceId) -> Result<Vec<Volume>, StoreError> {
        not_yet()
    }

    /// A run.
    pub async fn run(&self, _id: RunId) -> Result<Option<Run>, StoreError> {
        not_yet()
    }

    /// The runs of an instance, oldest first.
    pub async fn runs_of(&self, _instance: InstanceId) -> Result<Vec<Run>, StoreError> {
        not_yet()
    }

    /// The runs on a compute host.
    pub async fn runs_on(&self, _host: ComputeHostId, _page: Page) -> Result<Paged<Run>, StoreError> {
        not_yet()
    }

    /// The publications of a run.
    pub async fn publications_of(&self, _run: RunId) -> Result<Vec<Publication>, StoreError> {
        not_yet()
    }

    /// A layer.
    pub async fn layer(&self, _id: LayerId) -> Result<Option<Layer>, StoreError> {
        not_yet()
    }

    /// What a pool holds of a template.
    pub async fn layer_of(
        &self,
        _pool: StoragePoolId,
        _template: TemplateId,
    ) -> Result<Option<Layer>, StoreError> {
        not_yet()
    }

    /// The layers of a template on all pools.
    pub async fn layers_of_template(&self, _template: TemplateId) -> Result<Vec<Layer>, StoreError> {
        not_yet()
    }

    /// The address ranges of a network.
    pub async fn ranges_of_network(&self, _network: NetworkId) -> Result<Vec<IpRange>, StoreError> {
        not_yet()
    }

    /// The claimed addresses of a range, ascending.
    pub async fn claimed_addresses(&self, _range: IpRangeId) -> Result<Vec<Ipv4Addr>, StoreError> {
        not_yet()
    }

    /// The highest number that a numbered MAC has; 0 when there is none.
    pub async fn mac_numbers_used(&self) -> Result<u32, StoreError> {
        not_yet()
    }

    /// The plugin of a digest.
    pub async fn plugin_by_digest(&self, _digest: &Digest) -> Result<Option<Plugin>, StoreError> {
        not_yet()
    }

    /// The plugin of a name that was installed last.
    pub async fn newest_plugin(&self, _name: &Name) -> Result<Option<Plugin>, StoreError> {
        not_yet()
    }

    /// Which operation holds the lock of a resource.
    pub async fn holder_of(&self, _subject: Subject) -> Result<Option<OperationId>, StoreError> {
        not_yet()
    }

    /// Operations to run now: of shards that this server owns, not ended, not parked, due; oldest first.
    pub async fn due_operations(&self, _now: Timestamp, _limit: u32) -> Result<Vec<Operation>, StoreError> {
        not_yet()
    }

    /// Operations of owned shards that have not ended, parked ones too; oldest first.
    pub async fn unfinished_operations(&self, _limit: u32) -> Result<Vec<Operation>, StoreError> {
        not_yet()
    }

    /// Events after a position, in the order of their time; each shard's in the order of its numbers.
    pub async fn events_after(&self, _cursor: &EventCursor, _limit: u32) -> Result<Vec<Event>, StoreError> {
        not_yet()
    }

    /// Where the log ends now.
    pub async fn end_of_events(&self) -> Result<EventCursor, StoreError> {
        not_yet()
    }

    /// All that placement looks at in a zone; empty for an unknown zone.
    pub async fn zone_inventory(&self, _zone: ZoneId) -> Result<ZoneInventory, StoreError> {
        not_yet()
    }

    /// The token of a hash: its id, name and scope.
    pub async fn token_by_hash(&self, _hash: &[u8]) -> Result<Option<(TokenId, String, Scope)>, StoreError> {
        not_yet()
    }

    /// Events that a scope sees and a filter matches, after a position.
    pub async fn events(
        &self,
        _scope: Scope,
        _filter: &EventFilter,
        _cursor: &EventCursor,
        _limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        not_yet()
    }
}
