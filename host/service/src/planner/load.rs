//! Reading a zone for its planner.

use velum_model::{
    Timestamp,
    id::*,
    infrastructure::{Cluster, Pod, Zone},
    page::{Page, Paged},
    plugin::{Policy, PolicyShadow},
    resource::Resources,
};
use velum_placement::{HostRow, LayerClaim, Part, PoolRow, RunClaim, Update, VolumeClaim};
use velum_store::{
    ClusterFilter, NicRow, PodFilter, PolicyFilter, Reader, RunRow, StoreError, VolumeRow, ZoneInventory,
};

/// A zone as it was read. Its parts may be of slightly different moments: commits since the load began are applied
/// on top, and each is idempotent.
pub(crate) struct Loaded {
    /// What the epochs of the inventory begin with at least.
    pub first_epoch: u64,
    pub zone: Option<Zone>,
    pub pods: Vec<Pod>,
    pub clusters: Vec<Cluster>,
    pub inventory: ZoneInventory,
    pub runs: Vec<RunClaim>,
    /// Countable resources of those that hold any.
    pub held: Vec<(RunId, Resources)>,
    /// Runs of instances that are in affinity groups, with each.
    pub members: Vec<(RunId, AffinityGroupId)>,
    pub volumes: Vec<VolumeClaim>,
    pub nics: Vec<NicRow>,
    pub policies: Vec<Policy>,
    pub shadows: Vec<PolicyShadow>,
}

/// Reads every page of a list.
macro_rules! all {
    ($page:ident => $read:expr) => {{
        let mut items = Vec::new();
        let mut after = None;
        loop {
            let $page = Page {
                limit: Page::MAX_LIMIT,
                after,
            };
            let page: Paged<_> = $read.await?;
            items.extend(page.items);
            after = page.next;
            if after.is_none() {
                break items;
            }
        }
    }};
}

/// Reads the zone.
pub(crate) async fn read(reader: &Reader, id: ZoneId, first_epoch: u64) -> Result<Loaded, StoreError> {
    let zone = reader.zone(id).await?;
    let in_zone = PodFilter {
        zone: Some(id),
        ..PodFilter::default()
    };
    let pods = all!(page => reader.pods(&in_zone, page));
    let in_zone = ClusterFilter {
        zone: Some(id),
        ..ClusterFilter::default()
    };
    let clusters = all!(page => reader.clusters(&in_zone, page));
    let inventory = reader.zone_inventory(id).await?;
    let runs = reader.run_rows(id).await?;
    // After the runs: each of them is read with its groups.
    let members = reader.runs_in_affinity_groups(id).await?;
    let volumes = reader.volume_rows(id).await?;
    let mut nics = Vec::new();
    for network in &inventory.networks {
        nics.extend(reader.nic_rows(network.id).await?);
    }
    let policies = all!(page => reader.policies(&PolicyFilter::default(), page));
    let shadows = reader.shadows().await?;
    Ok(Loaded {
        first_epoch,
        zone,
        pods,
        clusters,
        inventory,
        runs: runs.iter().map(run_claim).collect(),
        held: runs
            .into_iter()
            .filter(|run| !run.resources.is_empty())
            .map(|run| (run.id, run.resources))
            .collect(),
        members,
        volumes: volumes.iter().map(volume_claim).collect(),
        nics,
        policies,
        shadows,
    })
}

fn run_claim(run: &RunRow) -> RunClaim {
    RunClaim {
        run: run.id,
        host: run.compute_host,
        project: run.project,
        vcpus: run.vcpus.get(),
        memory_mib: run.memory.get(),
        expected_end: run.expected_end_at.map(Timestamp::minute),
    }
}

fn volume_claim(volume: &VolumeRow) -> VolumeClaim {
    VolumeClaim {
        volume: volume.id,
        pool: volume.pool,
        bytes: volume.size.get(),
    }
}

/// Rows as updates, those that others point to first.
pub(super) fn inventory_of(pods: &[Pod], clusters: &[Cluster], rows: &ZoneInventory) -> Vec<Update> {
    let dedicated = pods
        .iter()
        .map(|pod| (Part::Pod(pod.id), pod.dedicated_to))
        .chain(
            clusters
                .iter()
                .map(|cluster| (Part::Cluster(cluster.id), cluster.dedicated_to)),
        )
        .chain(
            rows.hosts
                .iter()
                .map(|host| (Part::ComputeHost(host.id), host.dedicated_to)),
        )
        .filter(|(_, to)| to.is_some())
        .map(|(part, to)| Update::Dedicated { part, to });
    let clusters = clusters.iter().map(|cluster| Update::Cluster {
        id: cluster.id,
        cpu: cluster.cpu_overcommit,
        memory: cluster.memory_overcommit,
    });
    let hosts = rows
        .hosts
        .iter()
        .map(|host| Update::Host(Box::new(HostRow::from(host))));
    let pools = rows
        .pools
        .iter()
        .map(|pool| Update::Pool(Box::new(PoolRow::from(pool))));
    let layers = rows
        .layers
        .iter()
        .map(|layer| Update::Layer(LayerClaim::from(layer)));
    dedicated
        .chain(clusters)
        .chain(hosts)
        .chain(pools)
        .chain(layers)
        .collect()
}
