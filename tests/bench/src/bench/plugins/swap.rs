//! A policy swapped under load: how long the server takes to answer the swap, and what happens to the requests beside it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use velum_client::{Client, Filter};
use velum_support::{CloudOptions, TestCloud, World, WorldOptions};
use velum_wire::{CreatePolicyBody, UpdatePolicyBody, UpdateZoneBody};

/// What came of it.
pub struct Swapped {
    /// Milliseconds of a swap, the median and the slowest.
    pub millis: (f64, f64),
    /// Requests that were made meanwhile.
    pub requests: u64,
    /// Of these, refused or failed.
    pub failed: u64,
}

/// Swaps a zone's policy `swaps` times between two plugins that are installed, while clients create instances.
///
/// # Errors
/// The cloud does not start, or a swap is refused.
pub async fn swap(swaps: u32) -> anyhow::Result<Swapped> {
    let options = CloudOptions {
        hosts: 200,
        zones: 1,
        ..CloudOptions::default()
    };
    let cloud = TestCloud::start(&options).await?;
    let world = Arc::new(
        World::build(
            &cloud,
            &WorldOptions {
                hosts: 200,
                ..WorldOptions::default()
            },
        )
        .await?,
    );
    let client = cloud.client()?;
    let body: CreatePolicyBody = serde_json::from_value(serde_json::json!({
        "name": "under-test", "plugin": "placement-best-fit", "config": {},
    }))?;
    let policy = client.policies().create(&body).await?.value.id;
    let zone = client
        .zones()
        .all(&Filter::new())
        .await?
        .first()
        .map(|zone| zone.id);
    let zone = zone.ok_or_else(|| anyhow::anyhow!("there is no zone"))?;
    let with: UpdateZoneBody = serde_json::from_value(serde_json::json!({ "policy_id": policy }))?;
    client.zones().update(zone, &with, None).await?;

    let load = Load::default();
    let clients: Vec<_> = (0..4)
        .map(|number| {
            Ok(tokio::spawn(load.clone().create(
                cloud.client()?,
                Arc::clone(&world),
                number,
            )))
        })
        .collect::<anyhow::Result<_>>()?;
    let mut took = Vec::new();
    for number in 0..swaps {
        let plugin = if number % 2 == 0 {
            "placement-spread"
        } else {
            "placement-best-fit"
        };
        let change: UpdatePolicyBody = serde_json::from_value(serde_json::json!({ "plugin": plugin }))?;
        let began = Instant::now();
        client.policies().update(policy, &change, None).await?;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    load.stop.store(true, Ordering::Release);
    for client in clients {
        client.await?;
    }
    cloud.run_until_idle(Duration::from_secs(120)).await?;
    took.sort_by(f64::total_cmp);
    let at = |index: usize| took.get(index).copied().unwrap_or_default();
    Ok(Swapped {
        millis: (at(took.len() / 2), at(took.len().saturating_sub(1))),
        requests: load.made.load(Ordering::Relaxed),
        failed: load.failed.load(Ordering::Relaxed),
    })
}

/// Clients that create instances until they are told to stop.
#[derive(Clone, Default)]
struct Load {
    stop: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl Load {
    async fn create(self, client: Client, world: Arc<World>, number: u32) {
        let mut pace = tokio::time::interval(Duration::from_millis(80));
        for instance in 0_u32.. {
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            pace.tick().await;
            let body = world.instance(&format!("c{number}-{instance}"));
            self.made.fetch_add(1, Ordering::Relaxed);
            if client.instances().create(&body).await.is_err() {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
