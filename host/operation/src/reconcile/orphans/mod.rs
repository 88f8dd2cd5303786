//! Finds what no row owns: guests and seeds on compute hosts, volumes and publications on pools. It takes no input and
//! only proposes (law 9): what it finds is a row and, seen twice, an event; removing it is an operation like any other.
//!
//! Proposed is only what this database once had a row for (a tombstone says so), that two complete observations saw
//! without a row, and that has been so for the grace time. A far side lists only what carries our tag; but a database that
//! was put back to an earlier day, or a second cloud over the same machines, would make orphans of what lives. Such have
//! no tombstone: they are reported, and a person decides.

mod seen;
mod settle;

use std::time::Duration;

use futures::{StreamExt, stream};
use velum_model::{
    id::*,
    infrastructure::{ComputeHost, Zone},
    orphan::{OrphanKind, OrphanPlace},
    page::Page,
};
use velum_store::{ComputeHostFilter, StoragePoolFilter, StoreError, ZoneFilter};

use super::inventory::Reports;
use crate::{Engine, engine::EngineParts};

/// The first look at the latest, for a server that is started again and again; steps that were under way have ended by then.
const AT_FIRST: Duration = Duration::from_secs(60);

/// Bounds of the reconciler, each with its reason.
#[derive(Clone, Copy, Debug)]
pub struct OrphanLimits {
    /// Time between two looks at the same place. Five minutes: what nobody owns costs room and nothing else, and a pool
    /// of 100,000 volumes is read in a hundred pages.
    pub every_ms: u64,
    /// How long something must have been seen without a row before its removal is proposed. Ten minutes: longer than any
    /// step that a stopped server may still have under way at a far side.
    pub grace_ms: u64,
    /// Places looked at at the same time: as the observer's.
    pub at_once: usize,
}

impl Default for OrphanLimits {
    fn default() -> Self {
        Self {
            every_ms: 300_000,
            grace_ms: 600_000,
            at_once: 16,
        }
    }
}

/// The reconciler of one server's shards.
pub struct Reconciler {
    engine: Engine,
    limits: OrphanLimits,
    reports: Reports,
}

/// A place, and the right to write about it.
#[derive(Clone, Copy)]
struct Site {
    place: OrphanPlace,
    shard: ShardId,
    epoch: u64,
}

impl Reconciler {
    /// A reconciler at rest; [`Reconciler::run`] or [`Reconciler::look`] make it look.
    #[must_use]
    pub fn new(engine: Engine, limits: OrphanLimits) -> Self {
        Self {
            engine,
            limits,
            reports: Reports::default(),
        }
    }

    fn parts(&self) -> &EngineParts {
        &self.engine.shared().parts
    }

    /// Looks again and again, until the task is dropped. Not at once: what a server that was stopped had under way is still on its
    /// way, and one that has just started has more to do.
    pub async fn run(&self) {
        let every = Duration::from_millis(self.limits.every_ms);
        tokio::time::sleep(every.min(AT_FIRST)).await;
        loop {
            let began = tokio::time::Instant::now();
            if let Err(error) = self.look().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not look for what no row owns"
                );
            }
            let rest = Duration::from_millis(self.limits.every_ms).saturating_sub(began.elapsed());
            tokio::time::sleep(rest.max(Duration::from_millis(100))).await;
        }
    }

    /// Looks at every compute host and pool of the owned shards once.
    ///
    /// # Errors
    /// [`StoreError`] when rows cannot be read or written.
    pub async fn look(&self) -> Result<(), StoreError> {
        let mut page = Page {
            limit: Page::MAX_LIMIT,
            after: None,
        };
        loop {
            let zones = self
                .parts()
                .store
                .read()
                .zones(&ZoneFilter::default(), page)
                .await?;
            for zone in &zones.items {
                if let Some(epoch) = self.parts().store.epoch(zone.shard) {
                    self.look_at_hosts(zone, epoch).await?;
                    self.look_at_pools(zone, epoch).await?;
                }
            }
            page.after = zones.next;
            if page.after.is_none() {
                return Ok(());
            }
        }
    }

    async fn look_at_hosts(&self, zone: &Zone, epoch: u64) -> Result<(), StoreError> {
        let filter = ComputeHostFilter {
            zone: Some(zone.id),
            ..ComputeHostFilter::default()
        };
        let mut page = Page {
            limit: Page::MAX_LIMIT,
            after: None,
        };
        loop {
            let hosts = self.parts().store.read().compute_hosts(&filter, page).await?;
            let looks = hosts
                .items
                .into_iter()
                .map(|host| self.look_at_host(host, (zone.shard, epoch)));
            let mut found = stream::iter(looks).buffer_unordered(self.limits.at_once.max(1));
            while let Some(settled) = found.next().await {
                settled?;
            }
            page.after = hosts.next;
            if page.after.is_none() {
                return Ok(());
            }
        }
    }

    async fn look_at_host(
        &self,
        host: ComputeHost,
        (shard, epoch): (ShardId, u64),
    ) -> Result<(), StoreError> {
        let site = Site {
            place: OrphanPlace::ComputeHost(host.id),
            shard,
            epoch,
        };
        match self.seen_on(&host).await {
            Ok(Some((kinds, seen))) => self.settle(site, kinds, seen).await,
            Ok(None) => Ok(()),
            Err(fault) => {
                tracing::debug!(host = %host.name, %fault, "a compute host does not tell what it has");
                Ok(())
            }
        }
    }

    async fn look_at_pools(&self, zone: &Zone, epoch: u64) -> Result<(), StoreError> {
        let filter = StoragePoolFilter {
            zone: Some(zone.id),
            ..StoragePoolFilter::default()
        };
        let mut page = Page {
            limit: Page::MAX_LIMIT,
            after: None,
        };
        loop {
            let pools = self.parts().store.read().storage_pools(&filter, page).await?;
            for pool in &pools.items {
                let site = Site {
                    place: OrphanPlace::StoragePool(pool.id),
                    shard: zone.shard,
                    epoch,
                };
                match self.seen_in(pool).await {
                    Ok(Some(volumes)) => {
                        let seen = self.sightings(volumes).await?;
                        self.settle(site, &[OrphanKind::Volume, OrphanKind::Publication], seen)
                            .await?;
                    }
                    Ok(None) => {}
                    Err(fault) => {
                        tracing::debug!(pool = %pool.name, %fault, "a pool does not tell what it has");
                    }
                }
            }
            page.after = pools.next;
            if page.after.is_none() {
                return Ok(());
            }
        }
    }
}
