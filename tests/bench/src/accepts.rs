//! Accepts of instances over HTTP, in a zone of many compute hosts.
//!
//! Accepted means answered with 202: instance, run, volume, NIC, address, operation, decision, event and idempotency key are durable.
//! The operations stand still meanwhile (the server drives one at a time, and the far side holds it): what making the instances costs
//! is another bench's.

use std::{
    collections::HashSet,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::Value;
use velum_client::{Client, Filter};
use velum_support::{CloudOptions, TestCloud, World, WorldOptions};
use velum_wire::{CreateInstancesBody, InstanceOfBatchBody, NetworkChoiceBody};

use crate::{
    clients::{Seen, ask},
    field,
};

/// Neither does the server look at 100,000 compute hosts while it is measured, nor make what it accepted.
const CONFIG: &str =
    "[operations]\nin_flight = 1\n[observe]\nevery_ms = 3600000\n[orphans]\nevery_ms = 3600000\n";

/// A running server with its zone.
pub struct Ground {
    /// The server and its far side.
    pub cloud: TestCloud,
    /// What instances are made from.
    pub world: World,
    /// How long the server took from its start to ready, with all of them.
    pub ready: Duration,
    /// Instances that were accepted.
    pub accepted: u64,
}

impl Ground {
    /// A zone of so many compute hosts.
    ///
    /// # Errors
    /// It cannot be built.
    pub async fn of(hosts: u32) -> anyhow::Result<Self> {
        let options = CloudOptions {
            hosts,
            config: CONFIG.into(),
            ..CloudOptions::default()
        };
        let mut cloud = TestCloud::start(&options).await?;
        let world = WorldOptions {
            hosts: 1,
            ..WorldOptions::default()
        };
        let world = World::build(&cloud, &world).await?;
        cloud.kill();
        let host = *world.hosts.first().context("it has a compute host")?;
        let began = Instant::now();
        field::fill(&cloud.data().join("velum.db"), (host, world.pool), hosts).await?;
        let written = began.elapsed();
        let ready = cloud.restart().await?;
        // What takes time at the far side takes for ever from here on: the first operation waits, and the others for it.
        cloud.sim_post("/sim/hold", &serde_json::json!({})).await?;
        eprintln!(
            "{hosts} compute hosts: written in {:.1} s, the server is ready after {:.2} s",
            written.as_secs_f64(),
            ready.as_secs_f64()
        );
        Ok(Self {
            cloud,
            world,
            ready,
            accepted: 0,
        })
    }

    /// Accepts `instances` in batches of `batch` by so many clients at a time; names begin with `named`.
    ///
    /// # Errors
    /// One is refused.
    pub async fn by_batch(
        &mut self,
        named: &str,
        (clients, batch): (usize, u64),
        instances: u64,
    ) -> anyhow::Result<Seen> {
        let asking = self.clients(clients)?;
        let (world, named) = (self.world.clone(), named.to_owned());
        let seen = ask(&asking, instances / batch, move |client, number| {
            let one = |n: u64| InstanceOfBatchBody {
                name: format!("{named}-{number}-{n}"),
                compute_offering_id: world.offering,
                template_id: world.template,
                networks: vec![NetworkChoiceBody {
                    network_id: world.network,
                    address: None,
                }],
                ..InstanceOfBatchBody::default()
            };
            let body = CreateInstancesBody {
                zone_id: world.zone,
                instances: (0..batch).map(one).collect(),
                all_or_nothing: true,
            };
            async move {
                let made = client.instances().create_batch(&body).await?;
                anyhow::ensure!(u64::from(made.accepted) == batch, "{} were refused", made.refused);
                Ok(())
            }
        })
        .await?;
        self.accepted += seen.took.len() as u64 * batch;
        Ok(seen)
    }

    /// Accepts `instances`, each in a request of its own, by so many clients at a time.
    ///
    /// # Errors
    /// One is refused.
    pub async fn one_by_one(&mut self, named: &str, clients: usize, instances: u64) -> anyhow::Result<Seen> {
        let asking = self.clients(clients)?;
        let (world, named) = (self.world.clone(), named.to_owned());
        let seen = ask(&asking, instances, move |client, number| {
            let body = world.instance(&format!("{named}-{number}"));
            async move {
                client.instances().create(&body).await?;
                Ok(())
            }
        })
        .await?;
        self.accepted += seen.took.len() as u64;
        Ok(seen)
    }

    /// Kills the server and counts again: how long it took to be ready, whether every accepted instance is there, and what is wrong
    /// with the books.
    ///
    /// # Errors
    /// It does not come back.
    pub async fn recount(&mut self) -> anyhow::Result<(Duration, bool, Vec<Value>)> {
        self.cloud.kill();
        let ready = self.cloud.restart().await?;
        let all = self.cloud.client()?.instances().all(&Filter::new()).await?;
        let ids: HashSet<_> = all.iter().map(|instance| instance.id).collect();
        let violations = self.cloud.violations().await?;
        eprintln!(
            "{} of {} instances are there, {} violations",
            ids.len(),
            self.accepted,
            violations.len()
        );
        for violation in violations.iter().take(5) {
            eprintln!("  {violation}");
        }
        Ok((ready, ids.len() as u64 == self.accepted, violations))
    }

    fn clients(&self, count: usize) -> anyhow::Result<Vec<Client>> {
        (0..count).map(|_| self.cloud.client()).collect()
    }
}

/// Durable instances a second of the prototype (`peers/ceiling-rs`), and how long a commit takes (p50 and p99, milliseconds), by batches of
/// this many.
///
/// # Errors
/// It cannot be run, or says something else.
pub fn prototype(binary: &Path, hosts: u32, directory: &Path, batch: u64) -> anyhow::Result<(f64, f64, f64)> {
    let output = Command::new(binary)
        .arg(hosts.to_string())
        .arg("4")
        .arg(directory)
        .output()
        .with_context(|| format!("could not start {}", binary.display()))?;
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line.get("batch") == Some(&Value::from(batch)))
        .with_context(|| format!("the prototype has no line for batches of {batch}:\n{lines}"))?;
    let figure = |name: &str| {
        let value = line.get(name).and_then(Value::as_f64);
        value.with_context(|| format!("the prototype's line has no {name}: {line}"))
    };
    Ok((
        figure("durable_vms_per_s")?,
        figure("batch_p50_ms")?,
        figure("batch_p99_ms")?,
    ))
}
