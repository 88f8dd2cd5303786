//! Accepts of instances over HTTP, in a zone of many compute hosts.
//!
//! Accepted means answered with 202: instance, run, volume, NIC, address, operation, decision, event and idempotency key are durable.
//! The operations stand still meanwhile, unless a [`Pace`] says otherwise: what making the instances costs is another bench's.

use std::{
    collections::HashSet,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::Value;
use velum_client::{Client, Filter};
use velum_support::{CloudOptions, Report, TestCloud, World, WorldOptions};
use velum_wire::{
    CreateInstancesBody, CreateIpRangeBody, CreateNetworkBody, InstanceOfBatchBody, NetworkChoiceBody,
    NetworkLinkBody,
};

use crate::{
    clients::{Seen, ask},
    field,
};

/// What goes on beside the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// Nothing: the server does not look at its compute hosts, drives one operation at a time, and the far side holds that one.
    #[default]
    Still,
    /// Operations go on, and nobody looks at the compute hosts: what fills a zone.
    Quiet,
    /// All that the default configuration has.
    Usual,
}

impl Pace {
    const fn config(self) -> &'static str {
        match self {
            Self::Still => {
                "[operations]\nin_flight = 1\n[observe]\nevery_ms = 3600000\n[orphans]\nevery_ms = 3600000\n"
            }
            Self::Quiet => "[observe]\nevery_ms = 3600000\n[orphans]\nevery_ms = 3600000\n",
            Self::Usual => "",
        }
    }
}

/// How a zone is to be.
#[derive(Clone, Debug, Default)]
pub struct GroundOptions {
    /// Compute hosts.
    pub hosts: u32,
    /// URL of the server's database; without one, SQLite in its data directory.
    pub database: Option<String>,
    /// Further options of the far side.
    pub sim: Vec<String>,
    /// What goes on beside the requests.
    pub pace: Pace,
}

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
    database: Option<String>,
}

/// What was found after `kill -9`.
#[derive(Clone, Debug)]
pub struct Recount {
    /// How long the server took from its start to ready.
    pub ready: Duration,
    /// Whether every accepted instance is there.
    pub all_there: bool,
    /// Whether every sum is what its claims say, and nothing points to what is not there (`velumd db check`).
    pub books_agree: bool,
    /// What the far side saw that may not be.
    pub violations: Vec<Value>,
}

impl Recount {
    /// Whether all is well.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        self.all_there && self.books_agree && self.violations.is_empty()
    }

    /// What was found here and in another zone: well when both are.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            ready: self.ready.max(other.ready),
            all_there: self.all_there && other.all_there,
            books_agree: self.books_agree && other.books_agree,
            violations: [self.violations, other.violations].concat(),
        }
    }

    /// The report with what was found as conditions.
    #[must_use]
    pub fn told(&self, report: Report) -> Report {
        report
            .with("ready_again_s", self.ready.as_secs_f64())
            .require("no_violations", self.violations.is_empty())
            .require("all_are_there_after_kill_9", self.all_there)
            .require("books_agree", self.books_agree)
    }
}

/// Between two looks at what the server uses.
const A_WHILE: Duration = Duration::from_secs(1);
/// What a server uses of a processor that nobody asks anything: its timers.
const REST: f64 = 0.05;
/// Some 100,000 compute hosts are looked at in half of it.
const RESTS_WITHIN: Duration = Duration::from_secs(300);
/// Addresses of a range at most: a /16.
const RANGE: u64 = 1 << 16;

impl Ground {
    /// A zone of so many compute hosts on SQLite in which nothing goes on but requests.
    ///
    /// # Errors
    /// It cannot be built.
    pub async fn of(hosts: u32) -> anyhow::Result<Self> {
        Self::with(GroundOptions {
            hosts,
            ..GroundOptions::default()
        })
        .await
    }

    /// A zone.
    ///
    /// # Errors
    /// It cannot be built.
    pub async fn with(options: GroundOptions) -> anyhow::Result<Self> {
        let cloud = CloudOptions {
            hosts: options.hosts,
            config: config(options.database.as_deref(), options.pace),
            sim: options.sim,
            ..CloudOptions::default()
        };
        let mut cloud = TestCloud::start(&cloud).await?;
        let world = WorldOptions {
            hosts: 1,
            ..WorldOptions::default()
        };
        let world = World::build(&cloud, &world).await?;
        cloud.kill();
        let host = *world.hosts.first().context("it has a compute host")?;
        let embedded = || format!("sqlite:{}", cloud.data().join("velum.db").display());
        let url = options.database.clone().unwrap_or_else(embedded);
        let began = Instant::now();
        field::fill(&url, (host, world.pool), options.hosts).await?;
        let written = began.elapsed();
        let ready = cloud.restart().await?;
        if options.pace == Pace::Still {
            // What takes time at the far side takes for ever from here on: the first operation waits, and the others for it.
            cloud.sim_post("/sim/hold", &serde_json::json!({})).await?;
        }
        eprintln!(
            "{} compute hosts: written in {:.1} s, the server is ready after {:.2} s",
            options.hosts,
            written.as_secs_f64(),
            ready.as_secs_f64()
        );
        let mut own = Self {
            cloud,
            world,
            ready,
            accepted: 0,
            database: options.database,
        };
        // The first waits until the zone is owned and its inventory read, whichever comes after ready.
        own.one_by_one("first", 1, 1).await?;
        if options.pace != Pace::Usual {
            own.rest().await?;
        }
        Ok(own)
    }

    /// Waits until the server has done what it does once after its start: it recounts its books and looks at every compute host.
    async fn rest(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        let client = reqwest::Client::new();
        loop {
            let asked = client.get(format!("{}/metrics", self.cloud.url));
            let answer = asked.bearer_auth(self.cloud.token()?).send().await?;
            // It is there once the first recount has ended.
            if answer
                .error_for_status()?
                .text()
                .await?
                .contains("velum_books_wrong")
            {
                break;
            }
            anyhow::ensure!(began.elapsed() < RESTS_WITHIN, "the books are not recounted");
            tokio::time::sleep(A_WHILE).await;
        }
        let mut before = self.cloud.velumd.cpu_seconds()?;
        loop {
            tokio::time::sleep(A_WHILE).await;
            let now = self.cloud.velumd.cpu_seconds()?;
            if now - before < A_WHILE.as_secs_f64() * REST {
                eprintln!(
                    "the server rests after {:.0} s more",
                    began.elapsed().as_secs_f64()
                );
                return Ok(());
            }
            anyhow::ensure!(began.elapsed() < RESTS_WITHIN, "the server does not come to rest");
            before = now;
        }
    }

    /// What goes on beside the requests from the server's next start on.
    ///
    /// # Errors
    /// The configuration cannot be written.
    pub fn set_pace(&self, pace: Pace) -> anyhow::Result<()> {
        self.cloud.configure(&config(self.database.as_deref(), pace))
    }

    /// Instances get their addresses from another network from now on, which has at least so many. (The world's own has
    /// 65,000.)
    ///
    /// # Errors
    /// The server refuses it.
    pub async fn widen(&mut self, addresses: u64) -> anyhow::Result<()> {
        let client = self.cloud.client()?;
        let own = client.networks().get(self.world.network).await?;
        let wide = CreateNetworkBody {
            zone_id: self.world.zone,
            network_offering_id: own.network_offering_id,
            name: "wide".into(),
            cidr: "10.128.0.0/9".into(),
            gateway: "10.128.0.1".into(),
            dns: Vec::new(),
            link: NetworkLinkBody {
                kind: own.link.kind,
                name: own.link.name,
            },
        };
        let network = client.networks().create(&wide).await?.value.id;
        // The range before them has the gateway.
        for second in 129..129 + addresses.div_ceil(RANGE) {
            let range = CreateIpRangeBody {
                network_id: Some(network),
                pod_id: None,
                first: format!("10.{second}.0.0"),
                last: format!("10.{second}.255.255"),
            };
            client.ip_ranges().create(&range).await?;
        }
        self.world.network = network;
        Ok(())
    }

    /// Accepts `instances`, rounded up to whole batches of `batch`, by so many clients at a time; names begin with `named`.
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
        let seen = ask(&asking, instances.div_ceil(batch), move |client, number| {
            let body = batch_of(&world, &format!("{named}-{number}"), batch);
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

    /// Kills the server and counts again.
    ///
    /// # Errors
    /// It does not come back.
    pub async fn recount(&mut self) -> anyhow::Result<Recount> {
        self.cloud.kill();
        let ready = self.cloud.restart().await?;
        let all = self.cloud.client()?.instances().all(&Filter::new()).await?;
        let ids: HashSet<_> = all.iter().map(|instance| instance.id).collect();
        let violations = self.cloud.violations().await?;
        let checked = self.cloud.db(&["check"])?;
        eprintln!(
            "{} of {} instances are there, {} violations",
            ids.len(),
            self.accepted,
            violations.len()
        );
        for violation in violations.iter().take(5) {
            eprintln!("  {violation}");
        }
        if !checked.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&checked.stdout));
            eprintln!("{}", String::from_utf8_lossy(&checked.stderr));
        }
        Ok(Recount {
            ready,
            all_there: ids.len() as u64 == self.accepted,
            books_agree: checked.status.success(),
            violations,
        })
    }

    fn clients(&self, count: usize) -> anyhow::Result<Vec<Client>> {
        (0..count).map(|_| self.cloud.client()).collect()
    }
}

/// The database is named before the first table of the configuration.
fn config(database: Option<&str>, pace: Pace) -> String {
    let database = database.map_or(String::new(), |url| format!("database = \"{url}\"\n"));
    format!("{database}{}", pace.config())
}

/// So many instances of a world, all or none; names begin with `named`.
#[must_use]
pub fn batch_of(world: &World, named: &str, count: u64) -> CreateInstancesBody {
    let one = |n: u64| InstanceOfBatchBody {
        name: format!("{named}-{n}"),
        compute_offering_id: world.offering,
        template_id: world.template,
        networks: vec![NetworkChoiceBody {
            network_id: world.network,
            address: None,
        }],
        ..InstanceOfBatchBody::default()
    };
    CreateInstancesBody {
        zone_id: world.zone,
        instances: (0..count).map(one).collect(),
        all_or_nothing: true,
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
