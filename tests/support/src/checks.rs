//! Ends of stories: nothing under way, nothing left behind, and the books of both sides agree.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::Value;
use velum_client::{Client, Filter};
use velum_wire::InstanceState;

use crate::cloud::TestCloud;

/// Waits until no operation is under way.
///
/// # Errors
/// When one still is after `patience`, with what it is at.
pub async fn run_until_idle(client: &Client, patience: Duration) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let mut busy = None;
        for state in ["running", "undoing"] {
            let filter = Filter::new().with("state", state);
            let (found, _) = client.operations().first(&filter, 1).await?;
            busy = busy.or(found.into_iter().next());
        }
        let Some(operation) = busy else { return Ok(()) };
        anyhow::ensure!(
            began.elapsed() < patience,
            "{} is still at it after {patience:?}: {operation:#?}",
            operation.kind
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// No instance, no volume, no claimed guest address, no claim on a compute host, no parked operation.
///
/// # Errors
/// With what is left.
pub async fn assert_books_empty(client: &Client) -> anyhow::Result<()> {
    run_until_idle(client, Duration::from_secs(60)).await?;
    let instances = client.instances().all(&Filter::new()).await?;
    anyhow::ensure!(instances.is_empty(), "instances are left: {instances:#?}");
    let volumes = client.volumes().all(&Filter::new()).await?;
    anyhow::ensure!(volumes.is_empty(), "volumes are left: {volumes:#?}");
    let nics = client.nics().all(&Filter::new()).await?;
    anyhow::ensure!(nics.is_empty(), "NICs are left: {nics:#?}");
    for host in client.compute_hosts().all(&Filter::new()).await? {
        anyhow::ensure!(
            host.vcpus_used == 0 && host.memory_used_mib == 0,
            "claims are left on compute host {}: {} vCPUs, {} MiB",
            host.name,
            host.vcpus_used,
            host.memory_used_mib
        );
    }
    let addresses = client.ip_addresses().all(&Filter::new()).await?;
    let held = addresses.iter().find(|a| a.nic_id.is_some());
    anyhow::ensure!(held.is_none(), "addresses are left: {held:#?}");
    let filter = Filter::new().with("state", "parked");
    let (parked, _) = client.operations().first(&filter, 4).await?;
    anyhow::ensure!(parked.is_empty(), "operations are parked: {parked:#?}");
    Ok(())
}

/// Destroys every instance and waits until each is gone.
///
/// # Errors
/// When the server does not answer, or a destroy does not end well.
pub async fn destroy_all(client: &Client) -> anyhow::Result<()> {
    let mut under_way = Vec::new();
    for instance in client.instances().all(&Filter::new()).await? {
        under_way.extend(client.instances().delete(instance.id).await?);
    }
    for operation in under_way {
        let outcome = client.wait(operation).await?;
        anyhow::ensure!(
            outcome.is_done(),
            "a destroy did not end well: {:#?}",
            outcome.view()
        );
    }
    Ok(())
}

impl TestCloud {
    /// Waits until no operation is under way.
    ///
    /// # Errors
    /// When one still is after `patience`, with what it is at.
    pub async fn run_until_idle(&self, patience: Duration) -> anyhow::Result<()> {
        run_until_idle(&self.client()?, patience).await
    }

    /// No instance, no volume, no claimed guest address, no claim on a compute host, no parked operation; the far side
    /// has no run, no volume but the templates' layers, and saw no violation.
    ///
    /// # Errors
    /// With what is left.
    pub async fn assert_nothing_left(&self) -> anyhow::Result<()> {
        assert_books_empty(&self.client()?).await?;
        self.assert_far_side_empty().await
    }

    /// The far side has no run, no publication, and no volume but layers; and it saw no violation.
    ///
    /// # Errors
    /// With what is left.
    pub async fn assert_far_side_empty(&self) -> anyhow::Result<()> {
        let audit = self.sim_get("/sim/audit").await?;
        for what in ["runs", "publications", "violations"] {
            let found = audit
                .get(what)
                .and_then(Value::as_array)
                .with_context(|| format!("the audit has no {what}"))?;
            anyhow::ensure!(found.is_empty(), "the far side has {what} left: {found:#?}");
        }
        let volumes = audit
            .get("volumes")
            .and_then(Value::as_array)
            .context("the audit has no volumes")?;
        // Only a layer has neither a parent nor, at the end of a story, a row of its own.
        let clones: Vec<&Value> = volumes
            .iter()
            .filter(|v| v.get("parent").is_some_and(|p| !p.is_null()))
            .collect();
        anyhow::ensure!(clones.is_empty(), "the far side has volumes left: {clones:#?}");
        Ok(())
    }

    /// Where the far side's runs are not just those of the running instances, and the violations that it saw. Nothing may be
    /// under way.
    ///
    /// # Errors
    /// When one of the two does not answer.
    pub async fn differences(&self) -> anyhow::Result<Vec<String>> {
        let instances = self.client()?.instances().all(&Filter::new()).await?;
        let audit = self.sim_get("/sim/audit").await?;
        let found = audit.get("runs").and_then(Value::as_array);
        let mut runs: BTreeMap<String, u32> = BTreeMap::new();
        for run in found.context("the audit has no runs")? {
            let id = run
                .get("run")
                .and_then(Value::as_str)
                .context("a run has no id")?;
            *runs.entry(id.to_owned()).or_default() += 1;
        }
        let mut differences = Vec::new();
        for instance in &instances {
            let run = instance.run.as_ref().map(|r| r.id.to_string());
            match (instance.state, run) {
                (InstanceState::Running, Some(run)) if runs.remove(&run) == Some(1) => {}
                (InstanceState::Stopped, None) => {}
                (state, run) => differences.push(format!(
                    "{} is {state:?} with run {run:?}, which the far side has not",
                    instance.name
                )),
            }
        }
        let strangers = runs
            .keys()
            .map(|run| format!("the far side has run {run}, which nobody owns"));
        differences.extend(strangers);
        let violations = self.violations().await?;
        differences.extend(violations.iter().map(|v| format!("violation: {v}")));
        Ok(differences)
    }

    /// The violations that the far side saw.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn violations(&self) -> anyhow::Result<Vec<Value>> {
        let audit = self.sim_get("/sim/audit").await?;
        Ok(audit
            .get("violations")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default())
    }
}
