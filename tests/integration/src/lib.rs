//! What the stories have in common: a cloud with one zone in it, and the steps that most of them take.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use uuid::Uuid;
use velum_client::{Answered, Client, Outcome};
use velum_support::{CloudOptions, TestCloud, World, WorldOptions};
use velum_wire::{CreateDiskOfferingBody, CreateVolumeBody, InstanceView, VolumeView};

/// No single operation against the simulated far side takes this long, even while the machine builds something.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A cloud, a zone in it, and a client with the administrator's token.
#[derive(Debug)]
pub struct Story {
    /// The processes.
    pub cloud: TestCloud,
    /// The zone.
    pub world: World,
    /// The client.
    pub client: Client,
}

impl Story {
    /// A zone with so many compute hosts of 32 vCPUs and 128 GiB each.
    ///
    /// # Errors
    /// When something does not come up.
    pub async fn with_hosts(hosts: u32) -> anyhow::Result<Self> {
        Self::begin(
            &CloudOptions {
                hosts,
                ..CloudOptions::default()
            },
            &WorldOptions {
                hosts,
                ..WorldOptions::default()
            },
        )
        .await
    }

    /// A zone as the options say.
    ///
    /// # Errors
    /// When something does not come up.
    pub async fn begin(cloud: &CloudOptions, world: &WorldOptions) -> anyhow::Result<Self> {
        let cloud = TestCloud::start(cloud).await?;
        let world = World::build(&cloud, world).await?;
        let client = cloud.client()?;
        Ok(Self { cloud, world, client })
    }

    /// Makes an instance and waits until it runs.
    ///
    /// # Errors
    /// When it is refused or its operation does not end well.
    pub async fn run_instance(&self, name: &str) -> anyhow::Result<InstanceView> {
        let answer = self.client.instances().create(&self.world.instance(name)).await?;
        let id = answer.value.id;
        self.settle(answer).await?;
        Ok(self.client.instances().get(id).await?)
    }

    /// Waits until what was accepted is done.
    ///
    /// # Errors
    /// When it is undone, parked, or takes too long.
    pub async fn settle<T>(&self, answer: Answered<T>) -> anyhow::Result<T> {
        let operation = answer.operation.context("the answer leads to no operation")?;
        self.done(operation).await?;
        Ok(answer.value)
    }

    /// Waits until an operation is done.
    ///
    /// # Errors
    /// When it is undone, parked, or takes too long.
    pub async fn done(&self, operation: Uuid) -> anyhow::Result<()> {
        let outcome = self.ended(operation).await?;
        anyhow::ensure!(outcome.is_done(), "it did not end well: {:#?}", outcome.view());
        Ok(())
    }

    /// Waits until an operation ended, however.
    ///
    /// # Errors
    /// When it takes too long.
    pub async fn ended(&self, operation: Uuid) -> anyhow::Result<Outcome> {
        let waiting = tokio::time::timeout(PATIENCE, self.client.wait(operation));
        Ok(waiting
            .await
            .with_context(|| format!("operation {operation} does not end"))??)
    }

    /// Destroys an instance and waits until it is gone.
    ///
    /// # Errors
    /// When it is refused or its operation does not end well.
    pub async fn destroy(&self, instance: Uuid) -> anyhow::Result<()> {
        let operation = self.client.instances().delete(instance).await?;
        self.done(operation.context("destroying takes time")?).await
    }

    /// Destroys every instance that is there.
    ///
    /// # Errors
    /// When one is refused or does not end well.
    pub async fn destroy_all(&self) -> anyhow::Result<()> {
        let mut operations = Vec::new();
        for instance in self.client.instances().all(&velum_client::Filter::new()).await? {
            operations.extend(self.client.instances().delete(instance.id).await?);
        }
        for operation in operations {
            self.done(operation).await?;
        }
        Ok(())
    }

    /// Makes a data volume of `gib` GiB with an offering of its own and waits until it is there.
    ///
    /// # Errors
    /// When it is refused or its operation does not end well.
    pub async fn make_volume(&self, name: &str, gib: u64) -> anyhow::Result<VolumeView> {
        let offering = CreateDiskOfferingBody {
            name: format!("disk-of-{name}"),
            size_bytes: Some(gib << 30),
            storage_tags: Vec::new(),
        };
        let offering = self.client.disk_offerings().create(&offering).await?.value.id;
        let body = CreateVolumeBody {
            zone_id: self.world.zone,
            name: name.to_owned(),
            disk_offering_id: offering,
            size_bytes: None,
        };
        let answer = self.client.volumes().create(&body).await?;
        let id = answer.value.id;
        self.settle(answer).await?;
        Ok(self.client.volumes().get(id).await?)
    }

    /// What the far side knows of the run of an instance.
    ///
    /// # Errors
    /// When the far side does not answer.
    pub async fn far_run(&self, instance: Uuid) -> anyhow::Result<Option<Value>> {
        let audit = self.cloud.sim_get("/sim/audit").await?;
        let runs = audit
            .get("runs")
            .and_then(Value::as_array)
            .context("the audit has no runs")?;
        Ok(runs
            .iter()
            .find(|run| run.get("instance") == Some(&json!(instance)))
            .cloned())
    }
}

/// The value at the dotted path, or null.
#[must_use]
pub fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.')
        .try_fold(value, |v, field| v.get(field))
        .unwrap_or(&Value::Null)
}
