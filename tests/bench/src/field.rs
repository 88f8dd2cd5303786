//! A zone of many compute hosts, written straight into the database: by the API each is a request and a look at the far side,
//! which for 100,000 of them would be what takes the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use uuid::Uuid;
use velum_model::{
    Name, Timestamp,
    chance::{Ids, fresh},
    id::{ClusterId, ComputeHostId, ShardId, StoragePoolId},
    infrastructure::{Cluster, ComputeHost, Intent, PoolScope, StoragePool},
    time::Clock,
};
use velum_store::{Change, Commit, CommittedBatch, Observer, Store, StoreOptions, TOGETHER};

/// Compute hosts of a cluster, which share a pool: a rack or two.
pub const CLUSTER: u32 = 32;

/// When what is written straight into the database was made: in the past, as far as any server is concerned.
const BEGINNING: i64 = 1_700_000_000_000_000;

struct Real {
    began: Instant,
}

impl Clock for Real {
    fn now(&self) -> Timestamp {
        let since = i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(BEGINNING.saturating_add(since))
    }

    fn steady(&self) -> Duration {
        self.began.elapsed()
    }
}

/// Ids that nobody else has: the version of a server's own is another.
struct Counting(AtomicU64);

impl Ids for Counting {
    fn uuid(&self) -> Uuid {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        uuid::Builder::from_u128((u128::from(0xbe0c_u16) << 112) | u128::from(number)).into_uuid()
    }

    fn seed(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn secret(&self) -> [u8; 32] {
        [7; 32]
    }
}

struct Nobody;

impl Observer for Nobody {
    fn committed(&self, _: &CommittedBatch) {}
}

/// Adds compute hosts like `host` to the database at `url`, whose server does not run, until its zone has `count`; each cluster
/// of [`CLUSTER`] has a pool like `pool`, which takes nothing more itself.
///
/// # Errors
/// The database does not take them.
pub async fn fill(url: &str, (host, pool): (Uuid, Uuid), count: u32) -> anyhow::Result<()> {
    let ids = Arc::new(Counting(AtomicU64::new(1)));
    let store = Store::open(StoreOptions {
        url: url.to_owned(),
        holder: "bench".into(),
        clock: Arc::new(Real {
            began: Instant::now(),
        }),
        ids: ids.clone(),
        observer: Arc::new(Nobody),
        lease_ms: 600_000,
    })
    .await?;
    let shards = store.take_over(false).await?;
    let read = store.read();
    let host = read
        .compute_host(ComputeHostId::from_uuid(host))
        .await?
        .context("the host is there")?;
    let pool = read
        .storage_pool(StoragePoolId::from_uuid(pool))
        .await?
        .context("the pool is there")?;
    let cluster = read
        .cluster(host.cluster)
        .await?
        .context("the cluster is there")?;
    let zone = read.zone(host.zone).await?.context("the zone is there")?;
    let fence = shards
        .into_iter()
        .find(|(shard, _)| *shard == zone.shard)
        .context("its shard is ours")?;
    // Whoever reaches all would take all.
    let closed = StoragePool {
        intent: Intent::Disabled,
        ..pool.clone()
    };
    let mut commits = vec![alone(fence, Change::UpdateStoragePool(Box::new(closed)))];
    for number in 0..count.div_ceil(CLUSTER) {
        let (cluster, pool) = (a_cluster(&cluster, &ids, number)?, &pool);
        commits.push(alone(fence, Change::InsertCluster(cluster.clone())));
        let pool = a_pool(pool, &ids, number, cluster.id)?;
        commits.push(alone(fence, Change::InsertStoragePool(Box::new(pool))));
        // The first is there already.
        for n in (number * CLUSTER).max(1)..((number + 1) * CLUSTER).min(count) {
            let host = a_host(&host, &ids, n, cluster.id)?;
            commits.push(alone(fence, Change::InsertComputeHost(Box::new(host))));
        }
        if commits.len() + CLUSTER as usize + 2 > TOGETHER {
            store.commit_together(std::mem::take(&mut commits)).await?;
        }
    }
    if !commits.is_empty() {
        store.commit_together(commits).await?;
    }
    store.close().await;
    Ok(())
}

fn alone(fence: (ShardId, u64), change: Change) -> Commit {
    Commit {
        fence: Some(fence),
        changes: vec![change],
        ..Commit::default()
    }
}

fn a_cluster(like: &Cluster, ids: &Counting, number: u32) -> anyhow::Result<Cluster> {
    Ok(Cluster {
        id: fresh(ids),
        name: Name::new(format!("c{number:05}"))?,
        ..like.clone()
    })
}

fn a_pool(
    like: &StoragePool,
    ids: &Counting,
    number: u32,
    cluster: ClusterId,
) -> anyhow::Result<StoragePool> {
    Ok(StoragePool {
        id: fresh(ids),
        name: Name::new(format!("p{number:05}"))?,
        scope: PoolScope::Cluster(cluster),
        bytes_used: 0,
        ..like.clone()
    })
}

fn a_host(
    like: &ComputeHost,
    ids: &Counting,
    number: u32,
    cluster: ClusterId,
) -> anyhow::Result<ComputeHost> {
    let name = format!("z1-h{:04}", number + 1);
    let mut abilities = like.abilities.clone();
    for initiator in &mut abilities.initiators {
        initiator.value = initiator.value.replace(like.name.as_str(), &name);
    }
    Ok(ComputeHost {
        abilities,
        id: fresh(ids),
        name: Name::new(name.clone())?,
        cluster,
        config: serde_json::json!({ "host": name }),
        ..like.clone()
    })
}
