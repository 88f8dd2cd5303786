//! A case against a serving server.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use uuid::Uuid;
use velum_client::{Client, ClientError, Filter};
use velum_support::{TestCloud, World};
use velum_wire::{
    CreateClusterBody, CreateComputeHostBody, CreatePolicyBody, InstallPluginBody, UpdateZoneBody,
};

use crate::{
    case::{Case, Deed, Guest, Install, Use},
    make::{Made, make},
};

/// How long a plugin's process is waited for.
const PROCESS: Duration = Duration::from_secs(10);

/// Where cases are played.
pub struct Stage<'a> {
    /// The cloud.
    pub cloud: &'a TestCloud,
    /// An administrator.
    pub client: Client,
    /// The zone that hostile components are let loose in.
    pub world: &'a World,
}

/// An installation that grants whatever the manifest asks for, if it can be read.
fn all_granted(component: &[u8], manifest: Option<String>) -> InstallPluginBody {
    let asked = manifest.as_deref().and_then(|text| {
        let table: toml::Table = toml::from_str(text).ok()?;
        table.get("capabilities")?.clone().try_into().ok()
    });
    InstallPluginBody {
        component_base64: Some(STANDARD.encode(component)),
        manifest,
        grant: asked,
        ..InstallPluginBody::default()
    }
}

/// What a server said when it refused.
fn words(error: &ClientError) -> anyhow::Result<String> {
    match error {
        ClientError::Problem(problem) => {
            ensure!(
                problem.status < 500 || problem.status == 502,
                "the server failed: {problem:?}"
            );
            Ok(serde_json::to_string(problem)?)
        }
        other => bail!("the server did not answer: {other}"),
    }
}

impl Stage<'_> {
    /// Plays a case, and leaves nothing of it behind.
    ///
    /// # Errors
    /// It did not come out as its folder says.
    pub async fn play(&self, case: &Case) -> anyhow::Result<()> {
        let Made { component, manifest } = make(case)?;
        let others = plugin_processes(self.cloud.velumd.id())?;
        let installed = self
            .client
            .plugins()
            .install_as(&all_granted(&component, manifest))
            .await;
        let wanted = if case.accept {
            Install::Taken
        } else {
            case.outcome.install
        };
        let plugin = match (installed, wanted) {
            (Ok(answer), Install::Taken) => answer.value,
            (Err(error), Install::Refused) => {
                return says(&words(&error)?, &case.outcome.says);
            }
            (Ok(_), Install::Refused) => bail!("it was installed"),
            (Err(error), Install::Taken) => bail!("it was not installed: {}", words(&error)?),
        };
        let played = match case.guest {
            Guest::Policy => self.as_policy(case, &plugin.digest).await,
            Guest::Driver => self.as_driver(case).await,
            Guest::Process => self.with_its_process(case, &others).await,
            Guest::Raw => Ok(()),
        };
        let removed = self.client.plugins().delete(plugin.id).await;
        played?;
        removed.context("its plugin could not be removed")?;
        Ok(())
    }

    async fn as_policy(&self, case: &Case, digest: &str) -> anyhow::Result<()> {
        let body: CreatePolicyBody = serde_json::from_value(json!({ "name": case.name, "digest": digest }))?;
        let policy = match (self.client.policies().create(&body).await, case.outcome.used) {
            (Ok(answer), _) => answer.value.id,
            (Err(error), Some(Use::Refused)) => {
                let words = words(&error)?;
                ensure!(
                    words.len() < 8000,
                    "its words were not cut: {} bytes",
                    words.len()
                );
                return says(&words, &case.outcome.says);
            }
            (Err(error), _) => bail!("no policy could be made of it: {}", words(&error)?),
        };
        self.appoint(Some(policy)).await?;
        let placed = self.place(case, policy).await;
        self.appoint(None).await?;
        self.client
            .policies()
            .delete(policy)
            .await
            .context("its policy could not be removed")?;
        placed
    }

    async fn appoint(&self, policy: Option<Uuid>) -> anyhow::Result<()> {
        let body = UpdateZoneBody {
            policy_id: Some(policy),
            ..UpdateZoneBody::default()
        };
        self.client
            .zones()
            .update(self.world.zone, &body, None)
            .await
            .context("the zone's policy could not be changed")?;
        Ok(())
    }

    /// Two instances: the second one sees the first one's claim.
    async fn place(&self, case: &Case, policy: Uuid) -> anyhow::Result<()> {
        for number in 0..2 {
            let body = self.world.instance(&format!("{}-{number}", case.name));
            let made = match (self.client.instances().create(&body).await, case.outcome.used) {
                (Ok(answer), Some(Use::NoRoom)) => bail!("an instance was placed: {}", answer.value.id),
                (Ok(answer), _) => answer.value,
                (Err(error), Some(Use::NoRoom)) => {
                    says(&words(&error)?, &case.outcome.says)?;
                    continue;
                }
                (Err(error), _) => bail!("an instance was refused: {}", words(&error)?),
            };
            let decision = self.client.instances().decision(made.id).await?;
            ensure!(
                decision.policy.id == Some(policy),
                "another policy decided: {:?}",
                decision.policy
            );
            match (case.outcome.used, &decision.policy.failed) {
                (Some(Use::Any), _) | (Some(Use::Placed), None) => {}
                (Some(Use::Fallback), Some(why)) => {
                    ensure!(decision.policy.fallback.is_some(), "no fallback is named");
                    ensure!(why.len() < 2000, "its words were not cut: {} bytes", why.len());
                    // After some failures in a row its breaker is open, which the decision says too.
                    if !why.contains("not available") {
                        says(why, &case.outcome.says)?;
                    }
                }
                (_, failed) => bail!("the decision says {failed:?}"),
            }
        }
        Ok(())
    }

    async fn as_driver(&self, case: &Case) -> anyhow::Result<()> {
        let cluster = self.cluster(case).await?;
        let answer = self.register(case, cluster).await;
        self.client
            .clusters()
            .delete(cluster)
            .await
            .context("its cluster could not be removed")?;
        says(&answer?, &case.outcome.says)
    }

    async fn cluster(&self, case: &Case) -> anyhow::Result<Uuid> {
        let body = CreateClusterBody {
            pod_id: self.world.pod,
            name: case.name.clone(),
            driver: case.name.clone(),
            cpu_overcommit_permille: None,
            memory_overcommit_permille: None,
        };
        Ok(self.client.clusters().create(&body).await?.value.id)
    }

    /// Registers a compute host with the driver, which must not work. Answers what the server said.
    async fn register(&self, case: &Case, cluster: Uuid) -> anyhow::Result<String> {
        let body: CreateComputeHostBody = serde_json::from_value(json!({
            "cluster_id": cluster, "name": case.name, "endpoint": self.cloud.sim_url, "config": {},
        }))?;
        match self.client.compute_hosts().create(&body).await {
            Ok(answer) => bail!("a compute host was registered: {}", answer.value.id),
            Err(error) => words(&error),
        }
    }

    /// `others` are the plugins' processes that are not this one's; that of the simulator's driver computes too, for the observer.
    async fn with_its_process(&self, case: &Case, others: &[i32]) -> anyhow::Result<()> {
        let cluster = self.cluster(case).await?;
        let deed = async {
            let process = tokio::time::timeout(PROCESS, self.busy_process(others))
                .await
                .context("its process was not found")??;
            let signal = match case.deed.context("something is done to it")? {
                Deed::Kill => rustix::process::Signal::KILL,
                Deed::Stop => rustix::process::Signal::STOP,
            };
            rustix::process::kill_process(process, signal).context("its process could not be signalled")?;
            anyhow::Ok(process)
        };
        let (answer, process) = tokio::join!(self.register(case, cluster), deed);
        let process = process?;
        self.client
            .clusters()
            .delete(cluster)
            .await
            .context("its cluster could not be removed")?;
        says(&answer?, &case.outcome.says)?;
        // One that stands still is killed soon after its call was given up.
        let gone = async {
            while rustix::process::test_kill_process(process).is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PROCESS, gone)
            .await
            .context("its process is still there")?;
        Ok(())
    }

    /// The plugin's process that computes.
    async fn busy_process(&self, others: &[i32]) -> anyhow::Result<rustix::process::Pid> {
        loop {
            let processes = plugin_processes(self.cloud.velumd.id())?;
            for pid in processes.into_iter().filter(|pid| !others.contains(pid)) {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                let after = stat.rsplit(')').next().unwrap_or_default();
                let ticks: u64 = after
                    .split_whitespace()
                    .nth(11)
                    .and_then(|ticks| ticks.parse().ok())
                    .unwrap_or_default();
                let is_running = after.split_whitespace().next() == Some("R");
                if is_running
                    && ticks > 5
                    && let Some(pid) = rustix::process::Pid::from_raw(pid)
                {
                    return Ok(pid);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Removes all instances of the hostile zone.
    ///
    /// # Errors
    /// One cannot be removed.
    pub async fn clear(&self) -> anyhow::Result<usize> {
        let of_zone = Filter::new().with("zone_id", self.world.zone.to_string());
        let instances = self.client.instances().all(&of_zone).await?;
        for instance in &instances {
            self.client.instances().delete(instance.id).await?;
        }
        Ok(instances.len())
    }
}

fn says(text: &str, wanted: &str) -> anyhow::Result<()> {
    ensure!(text.contains(wanted), "it says nothing of `{wanted}`: {text}");
    ensure!(!text.contains('\u{1b}'), "it has the codes of a terminal: {text}");
    Ok(())
}

/// Plugins' processes of a server.
///
/// # Errors
/// `/proc` cannot be read.
pub fn plugin_processes(server: u32) -> anyhow::Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let Some(pid) = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let is_child = std::fs::read_to_string(path.join("status"))
            .is_ok_and(|status| status.contains(&format!("\nPPid:\t{server}\n")));
        let is_plugin = std::fs::read(path.join("cmdline"))
            .is_ok_and(|line| line.windows(16).any(|part| part == b"--plugin-process"));
        if is_child && is_plugin {
            found.push(pid);
        }
    }
    Ok(found)
}
