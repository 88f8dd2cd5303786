//! What this server owns, and what follows from it: nodes are told, planners and operations come and go with their shards.
//!
//! A database that is this server's alone is owned as a whole, and whoever takes it over ends this server. On one that
//! several servers share, shards come and go one by one while it serves.

use std::time::Duration;

use anyhow::Context;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use velum_connector::{Connections, message::ShardEpoch};
use velum_model::ShardId;
use velum_operation::Engine;
use velum_service::Services;
use velum_store::{Membership, Refused, Store, StoreError};

use crate::config::Config;

/// Nodes that are away, or that wait for an older owner's effect to end, learn of an epoch with the first effect under it:
/// what is to go on is not held up by them.
const ANNOUNCE: Duration = Duration::from_secs(1);

/// Shards with their epochs.
pub type Owned = [(ShardId, u64)];

/// Who follows what is owned.
#[derive(Clone)]
pub struct Followers {
    pub connections: Connections,
    pub services: Services,
    pub engine: Engine,
}

/// How this server owns shards.
pub enum Ownership {
    /// All of them, until another server takes them over.
    Whole { renewing: JoinHandle<()> },
    /// Some of them, among other servers.
    Shared {
        membership: Box<Membership>,
        following: JoinHandle<()>,
    },
}

/// Nodes refuse an older owner from the moment they are told; those that are away are told when they are connected.
pub async fn announce(connections: &Connections, shards: &Owned) -> anyhow::Result<()> {
    let epochs = shards.iter().map(|(shard, epoch)| ShardEpoch {
        shard: shard.uuid(),
        epoch: *epoch,
    });
    connections
        .announce(epochs.collect())
        .await
        .context("a node knows a newer owner of a shard")
}

impl Ownership {
    /// Keeps what was taken over as a whole. Stops the server when another has taken it.
    pub async fn whole(
        config: &Config,
        store: &Store,
        shards: &Owned,
        followers: Followers,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let waiting = followers.engine.own(shards).await;
        let waiting = waiting.context("could not read the unfinished operations")?;
        tracing::info!(waiting, "resuming operations");
        let renewing = tokio::spawn(keep_leases(store.clone(), config.lease.ms, stop.clone()));
        Ok(Self::Whole { renewing })
    }

    /// Joins the other servers on the database, and follows what is owned from then on.
    pub async fn shared(config: &Config, store: &Store, followers: Followers) -> anyhow::Result<Self> {
        let lease = Duration::from_millis(config.lease.ms);
        let membership = store.join(&config.address(), lease).await;
        let membership = membership.context("could not join the servers on the database")?;
        let mut owned = membership.owned.clone();
        let first = owned.borrow_and_update().clone();
        followers.follow(&[], &first).await;
        let following = tokio::spawn(followers.run(owned, first));
        Ok(Self::Shared {
            membership: Box::new(membership),
            following,
        })
    }

    /// Ends it; what is shared goes to the others at once. Answers whether the shards were lost.
    pub async fn end(self, store: &Store) -> bool {
        match self {
            Self::Whole { renewing } => {
                let is_lost = renewing.is_finished();
                renewing.abort();
                is_lost
            }
            Self::Shared {
                membership,
                following,
            } => {
                following.abort();
                if let Err(error) = store.leave(*membership).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "could not give the shards away: the others wait for the leases"
                    );
                }
                false
            }
        }
    }
}

impl Followers {
    /// Follows every change.
    async fn run(self, mut owned: watch::Receiver<Vec<(ShardId, u64)>>, mut before: Vec<(ShardId, u64)>) {
        while owned.changed().await.is_ok() {
            let now = owned.borrow_and_update().clone();
            self.follow(&before, &now).await;
            before = now;
        }
    }

    async fn follow(&self, before: &Owned, now: &Owned) {
        for (shard, epoch) in before.iter().filter(|held| !now.contains(held)) {
            tracing::warn!(%shard, epoch, "does not own a shard any more");
        }
        let gained: Vec<_> = now.iter().filter(|held| !before.contains(held)).collect();
        for (shard, epoch) in &gained {
            tracing::info!(%shard, epoch, "owns a shard");
        }
        match tokio::time::timeout(ANNOUNCE, announce(&self.connections, now)).await {
            Ok(Ok(())) | Err(_) => {}
            // The next look finds out which.
            Ok(Err(error)) => tracing::warn!(error = %format!("{error:#}"), "a shard was lost already"),
        }
        // Requests first: they wait for a planner, operations for nobody.
        if let Err(error) = self.services.own(now).await {
            tracing::warn!(%error, "could not read the inventory of a zone; the first request will");
        }
        match self.engine.own(now).await {
            Ok(waiting) if !gained.is_empty() => tracing::info!(waiting, "resuming operations"),
            Ok(_) => {}
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not read the unfinished operations; trying again"
            ),
        }
    }
}

/// Renews the leases thrice in their time. Ends, and stops the server, when another has taken them.
async fn keep_leases(store: Store, lease_ms: u64, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_millis(lease_ms / 3));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match store.renew().await {
            Ok(()) => {}
            Err(StoreError::Refused(Refused::Fenced { shard, epoch })) => {
                tracing::error!(%shard, epoch, "another server has taken over; this one stops");
                stop.cancel();
                return;
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not renew the leases"
            ),
        }
    }
}
