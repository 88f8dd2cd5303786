//! Reading: single rows by id, keyset pages, and what operations and placement ask.
//!
//! A single read answers `Ok(None)` for an id that does not exist or that the scope does not see; lists are ordered by
//! id. Every method fails only when the database does or a row does not read ([`StoreError`]).

mod affinity;
mod conditions;
mod hierarchy;
mod nodes;
mod orphans;
mod plugins;
mod tenant;
mod work;
mod zone;

use std::{collections::BTreeMap, net::Ipv4Addr};

use uuid::Uuid;
use velum_model::{
    affinity::AffinityGroup,
    decision::Decision,
    id::*,
    infrastructure::*,
    instance::Instance,
    operation::Operation,
    orphan::Orphan,
    page::{Page, Paged},
    plugin::{Plugin, Policy},
    storage::{Layer, Template, Volume},
    tenancy::Scope,
    trust::Publisher,
};

use crate::{
    commit::StoreError,
    db::{Database, Row, Value},
    epochs::Epochs,
    filter::*,
};
use conditions::Conditions;
pub use zone::{NicRow, RunRow, VolumeRow};

/// Every fixed statement of the reader.
#[cfg(test)]
pub(crate) fn statements() -> Vec<&'static crate::db::Statement> {
    let all = tenant::ALL
        .iter()
        .chain(work::ALL)
        .chain(orphans::ALL)
        .chain(affinity::ALL)
        .chain(zone::ALL);
    all.copied().collect()
}

/// What a filter asks of its table.
#[cfg(test)]
pub(crate) fn conditions_of(filter: &impl Conditions) -> Vec<&'static str> {
    let conditions = filter.conditions();
    conditions.into_iter().map(|(condition, _)| condition).collect()
}

/// The reading side of the store: cheap to clone, any number at once.
#[derive(Clone)]
pub struct Reader {
    pub(crate) database: Database,
    pub(crate) epochs: Epochs,
}

/// All that placement looks at in a zone, as of one instant.
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

/// A row that is read whole.
pub(crate) trait Stored: Sized {
    /// Its table, as messages and conditions call it.
    const TABLE: &'static str;
    /// `SELECT … FROM …` without a condition.
    const SELECT: &'static str;
    /// The column that pages are ordered by.
    const ID: &'static str;

    /// Reads the columns of [`Self::SELECT`].
    fn read(row: &Row) -> Result<Self, StoreError>;

    /// Its id.
    fn id(&self) -> Uuid;
}

/// A text in the making: fixed parts, with values only bound.
struct Query {
    text: String,
    values: Vec<Value>,
}

impl Query {
    fn of<T: Stored>() -> Self {
        Self {
            text: T::SELECT.to_owned(),
            values: Vec::new(),
        }
    }

    /// Adds a condition; `?` in it stands for the value.
    fn and(&mut self, condition: &str, value: Value) {
        self.text.push_str(if self.values.is_empty() {
            " WHERE "
        } else {
            " AND "
        });
        self.values.push(value);
        let place = format!("${}", self.values.len());
        self.text.push_str(&condition.replace('?', &place));
    }

    fn scope<T: Stored>(&mut self, scope: Scope) {
        if let Scope::Project(project) = scope {
            self.and(&format!("{}.project = ?", T::TABLE), Value::from(project));
        }
    }

    fn order_and_limit(&mut self, order: &str, limit: u32) {
        self.values.push(Value::from(limit));
        self.text
            .push_str(&format!(" ORDER BY {order} LIMIT ${}", self.values.len()));
    }
}

pub(crate) fn read_all<T: Stored>(rows: &[Row]) -> Result<Vec<T>, StoreError> {
    rows.iter().map(T::read).collect()
}

impl Reader {
    async fn query<T: Stored>(&self, query: Query) -> Result<Vec<T>, StoreError> {
        read_all(
            &self
                .database
                .fetch_text(T::TABLE, query.text, &query.values)
                .await?,
        )
    }

    async fn one<T: Stored>(&self, scope: Scope, id: Uuid) -> Result<Option<T>, StoreError> {
        let mut query = Query::of::<T>();
        query.and(&format!("{} = ?", T::ID), Value::from(id));
        query.scope::<T>(scope);
        Ok(self.query(query).await?.pop())
    }

    async fn page<T: Stored>(
        &self,
        scope: Scope,
        conditions: Vec<(&'static str, Value)>,
        page: Page,
    ) -> Result<Paged<T>, StoreError> {
        let limit = page.limit.clamp(1, Page::MAX_LIMIT);
        let mut query = Query::of::<T>();
        query.scope::<T>(scope);
        for (condition, value) in conditions {
            query.and(condition, value);
        }
        if let Some(after) = page.after {
            query.and(&format!("{} > ?", T::ID), Value::from(after));
        }
        query.order_and_limit(T::ID, limit + 1);
        Ok(Paged::cut(self.query(query).await?, limit, T::id))
    }

    /// The rows that hang on any of these ids, by `order`: one query for a whole page of them.
    async fn hanging_on<T: Stored>(
        &self,
        column: &str,
        ids: impl Iterator<Item = Value>,
        order: &str,
    ) -> Result<Vec<T>, StoreError> {
        let mut query = Query::of::<T>();
        query.values.extend(ids);
        if query.values.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<String> = (1..=query.values.len()).map(|n| format!("${n}")).collect();
        let places = places.join(", ");
        query
            .text
            .push_str(&format!(" WHERE {column} IN ({places}) ORDER BY {order}"));
        self.query(query).await
    }

    /// All rows with one value of a column: few by nature.
    async fn few<T: Stored>(&self, condition: &str, value: Value, order: &str) -> Result<Vec<T>, StoreError> {
        let mut query = Query::of::<T>();
        query.and(condition, value);
        query.text.push_str(" ORDER BY ");
        query.text.push_str(order);
        self.query(query).await
    }
}

macro_rules! unscoped {
    ($($(#[$one_doc:meta])* $one:ident($id:ty) -> $kind:ty; $(#[$many_doc:meta])* $many:ident($filter:ty);)*) => {
        #[expect(clippy::missing_errors_doc, reason = "the module says it once for all")]
        impl Reader {$(
            $(#[$one_doc])*
            pub async fn $one(&self, id: $id) -> Result<Option<$kind>, StoreError> {
                self.one(Scope::All, id.uuid()).await
            }

            $(#[$many_doc])*
            pub async fn $many(&self, filter: &$filter, page: Page) -> Result<Paged<$kind>, StoreError> {
                self.page(Scope::All, filter.conditions(), page).await
            }
        )*}
    };
}

macro_rules! scoped {
    ($($(#[$one_doc:meta])* $one:ident($id:ty) -> $kind:ty; $(#[$many_doc:meta])* $many:ident($filter:ty);)*) => {
        #[expect(clippy::missing_errors_doc, reason = "the module says it once for all")]
        impl Reader {$(
            $(#[$one_doc])*
            pub async fn $one(&self, scope: Scope, id: $id) -> Result<Option<$kind>, StoreError> {
                self.one(scope, id.uuid()).await
            }

            $(#[$many_doc])*
            pub async fn $many(
                &self,
                scope: Scope,
                filter: &$filter,
                page: Page,
            ) -> Result<Paged<$kind>, StoreError> {
                self.page(scope, filter.conditions(), page).await
            }
        )*}
    };
}

unscoped! {
    /// A zone.
    zone(ZoneId) -> Zone;
    /// Zones that match.
    zones(ZoneFilter);
    /// A pod.
    pod(PodId) -> Pod;
    /// Pods that match.
    pods(PodFilter);
    /// A cluster.
    cluster(ClusterId) -> Cluster;
    /// Clusters that match.
    clusters(ClusterFilter);
    /// A compute host.
    compute_host(ComputeHostId) -> ComputeHost;
    /// Compute hosts that match.
    compute_hosts(ComputeHostFilter);
    /// A storage pool.
    storage_pool(StoragePoolId) -> StoragePool;
    /// Storage pools that match.
    storage_pools(StoragePoolFilter);
    /// An image store.
    image_store(ImageStoreId) -> ImageStore;
    /// Image stores that match.
    image_stores(ImageStoreFilter);
    /// An address range.
    ip_range(IpRangeId) -> IpRange;
    /// Address ranges that match.
    ip_ranges(IpRangeFilter);
    /// A claimed address.
    ip_address(IpAddressId) -> IpAddress;
    /// Claimed addresses that match.
    ip_addresses(IpAddressFilter);
    /// A compute offering.
    compute_offering(ComputeOfferingId) -> ComputeOffering;
    /// Compute offerings that match.
    compute_offerings(ComputeOfferingFilter);
    /// A disk offering.
    disk_offering(DiskOfferingId) -> DiskOffering;
    /// Disk offerings that match.
    disk_offerings(DiskOfferingFilter);
    /// A network offering.
    network_offering(NetworkOfferingId) -> NetworkOffering;
    /// Network offerings that match.
    network_offerings(NetworkOfferingFilter);
    /// A plugin.
    plugin(PluginId) -> Plugin;
    /// Plugins that match.
    plugins(PluginFilter);
    /// A publisher of plugins.
    publisher(PublisherId) -> Publisher;
    /// Publishers that match.
    publishers(PublisherFilter);
    /// A policy.
    policy(PolicyId) -> Policy;
    /// Policies that match.
    policies(PolicyFilter);
    /// Something that no row owns.
    orphan(OrphanId) -> Orphan;
    /// What no row owns and matches.
    orphans(OrphanFilter);
}

scoped! {
    /// A network.
    network(NetworkId) -> Network;
    /// Networks that match.
    networks(NetworkFilter);
    /// A NIC.
    nic(NicId) -> Nic;
    /// NICs that match.
    nics(NicFilter);
    /// A template.
    template(TemplateId) -> Template;
    /// Templates that match.
    templates(TemplateFilter);
    /// An affinity group.
    affinity_group(AffinityGroupId) -> AffinityGroup;
    /// Affinity groups that match.
    affinity_groups(AffinityGroupFilter);
    /// An instance.
    instance(InstanceId) -> Instance;
    /// Instances that match.
    instances(InstanceFilter);
    /// A volume.
    volume(VolumeId) -> Volume;
    /// Volumes that match.
    volumes(VolumeFilter);
    /// An operation.
    operation(OperationId) -> Operation;
    /// Operations that match.
    operations(OperationFilter);
    /// A decision.
    decision(DecisionId) -> Decision;
    /// Decisions that match.
    decisions(DecisionFilter);
}
