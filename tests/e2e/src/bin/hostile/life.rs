//! A life of an instance and a volume, step by step, and what came of each step in words that are the same every time.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use uuid::Uuid;
use velum_client::{Answered, Client, ClientError, Filter, Outcome};
use velum_support::World;
use velum_wire::{CreateDiskOfferingBody, CreateVolumeBody, OperationView};

/// What an operation may take until it ended or is parked, with the tries and back-offs of `HASTE`.
const PATIENCE: Duration = Duration::from_secs(60);
/// The size of everything here: the smallest that the flawed provider has.
const MIB: u64 = 1 << 20;
/// What came of each step of a life.
pub type Steps = BTreeMap<String, String>;

/// One instance and one volume of a zone.
pub struct Life<'a> {
    /// An administrator.
    pub client: &'a Client,
    /// The zone.
    pub world: &'a World,
    /// Its number.
    pub zone: u32,
    /// What is told of it.
    pub flaw: String,
}

impl Life<'_> {
    /// Lives it, and notes what came of each step.
    ///
    /// # Errors
    /// The server failed, an operation neither ended nor is parked, or the books do not agree.
    pub async fn live(&self, steps: &mut Steps) -> anyhow::Result<()> {
        let instance = self.world.instance(&format!("life-{}", self.zone));
        let made = self.client.instances().create(&instance).await;
        let instance = self.take(steps, "create", made, |view| view.id).await?;
        let volume = self.volume(steps).await?;
        if let (Some(instance), Some(volume)) = (instance, volume) {
            let attached = self.client.volumes().attach(volume, instance).await;
            self.take(steps, "attach", attached, |view| view.id).await?;
        }
        if let Some(instance) = instance {
            self.look(steps, instance).await?;
        }
        if let Some(volume) = volume {
            let detached = self.client.volumes().detach(volume).await;
            self.take(steps, "detach", detached, |view| view.id).await?;
            let deleted = self.client.volumes().delete(volume).await;
            self.take_deletion(steps, "delete-volume", deleted).await?;
        }
        if let Some(instance) = instance {
            let instances = self.client.instances();
            self.take(steps, "reboot", instances.reboot(instance).await, |view| view.id)
                .await?;
            self.take(
                steps,
                "stop",
                instances.stop_within(instance, 200).await,
                |view| view.id,
            )
            .await?;
            self.take(steps, "start", instances.start(instance).await, |view| view.id)
                .await?;
            self.take_deletion(steps, "delete", instances.delete(instance).await)
                .await?;
        }
        self.leftovers(steps).await
    }

    async fn volume(&self, steps: &mut Steps) -> anyhow::Result<Option<Uuid>> {
        let shape = CreateDiskOfferingBody {
            name: format!("disk-{}", self.zone),
            size_bytes: Some(MIB),
            storage_tags: Vec::new(),
        };
        let shape = self.client.disk_offerings().create(&shape).await?.value.id;
        let body = CreateVolumeBody {
            zone_id: self.world.zone,
            name: format!("data-{}", self.zone),
            disk_offering_id: shape,
            size_bytes: None,
        };
        let made = self.client.volumes().create(&body).await;
        self.take(steps, "volume", made, |view| view.id).await
    }

    /// Notes what became of a step. Answers its resource if the server took it.
    async fn take<T>(
        &self,
        steps: &mut Steps,
        step: &str,
        answer: Result<Answered<T>, ClientError>,
        id: impl Fn(&T) -> Uuid,
    ) -> anyhow::Result<Option<Uuid>> {
        let answered = match answer {
            Ok(answered) => answered,
            Err(error) => {
                eprintln!("{}: {step}: {error}", self.flaw);
                steps.insert(step.to_owned(), refusal(&error)?);
                return Ok(None);
            }
        };
        self.end(steps, step, answered.operation).await?;
        Ok(Some(id(&answered.value)))
    }

    async fn take_deletion(
        &self,
        steps: &mut Steps,
        step: &str,
        answer: Result<Option<Uuid>, ClientError>,
    ) -> anyhow::Result<()> {
        match answer {
            Ok(operation) => self.end(steps, step, operation).await,
            Err(error) => {
                eprintln!("{}: {step}: {error}", self.flaw);
                steps.insert(step.to_owned(), refusal(&error)?);
                Ok(())
            }
        }
    }

    /// Waits for the end of an operation; one that is parked is decided on, as its operator would.
    async fn end(&self, steps: &mut Steps, step: &str, operation: Option<Uuid>) -> anyhow::Result<()> {
        let Some(operation) = operation else {
            steps.insert(step.to_owned(), "done".into());
            return Ok(());
        };
        let words = match self.wait(operation).await? {
            Outcome::Done(_) => "done".to_owned(),
            Outcome::Undone(view) => {
                eprintln!("{}: {step}: {:?} {:?}", self.flaw, view.error, faults(&view));
                format!("undone: {}", cause(&view))
            }
            Outcome::Parked(view) => {
                eprintln!("{}: {step}: {:?} {:?}", self.flaw, view.error, faults(&view));
                let then = self.decide(operation).await?;
                format!("parked: {}; {then}", cause(&view))
            }
        };
        steps.insert(step.to_owned(), words);
        Ok(())
    }

    async fn wait(&self, operation: Uuid) -> anyhow::Result<Outcome> {
        match tokio::time::timeout(PATIENCE, self.client.wait(operation)).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => {
                let view = self.client.operations().get(operation).await?;
                anyhow::bail!("an operation neither ended nor is parked after {PATIENCE:?}: {view:?}")
            }
        }
    }

    /// Undoes what is parked, or says that what it waits for is gone.
    async fn decide(&self, operation: Uuid) -> anyhow::Result<String> {
        let reason = "its plugin lies".to_owned();
        let operations = self.client.operations();
        let (verb, answer) = match operations.undo(operation, Some(reason.clone())).await {
            Err(error) if error.status().is_some_and(|status| status < 500) => {
                ("given up", operations.assert_gone(operation, reason).await)
            }
            answer => ("undone", answer),
        };
        if let Err(error) = answer {
            return Ok(format!("no way out: {}", refusal(&error)?));
        }
        Ok(match self.wait(operation).await? {
            Outcome::Parked(view) => format!("parked again: {}", cause(&view)),
            _ => verb.to_owned(),
        })
    }

    /// Two looks at its compute host later: what the server says of it.
    async fn look(&self, steps: &mut Steps, instance: Uuid) -> anyhow::Result<()> {
        let host = *self.world.hosts.first().context("no compute host")?;
        let mut seen = Vec::new();
        let looks = async {
            while seen.len() < 3 {
                let at = self.client.compute_hosts().get(host).await?.observed_at;
                if !seen.contains(&at) {
                    seen.push(at);
                }
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
            anyhow::Ok(())
        };
        let words = match tokio::time::timeout(PATIENCE, looks).await {
            Ok(looked) => {
                looked?;
                let view = self.client.instances().get(instance).await;
                match view {
                    Ok(view) => {
                        let seen = view.run.as_ref().map(|run| run.observed);
                        format!("{}, seen {}", word(&view.state)?, word(&seen)?)
                    }
                    Err(error) => refusal(&error)?,
                }
            }
            Err(_) => "nothing was observed".to_owned(),
        };
        steps.insert("look".into(), words);
        Ok(())
    }

    /// What the books hold at the end.
    async fn leftovers(&self, steps: &mut Steps) -> anyhow::Result<()> {
        let here = Filter::new().with("zone_id", self.world.zone.to_string());
        let mut left = Vec::new();
        if !self.client.instances().all(&here).await?.is_empty() {
            left.push("instance");
        }
        if !self.client.volumes().all(&here).await?.is_empty() {
            left.push("volume");
        }
        let host = *self.world.hosts.first().context("no compute host")?;
        let host = self.client.compute_hosts().get(host).await?;
        let is_claimed = host.vcpus_used > 0 || host.memory_used_mib > 0;
        ensure!(
            is_claimed == left.contains(&"instance"),
            "the books do not agree: left {left:?}, {} vCPUs and {} MiB claimed",
            host.vcpus_used,
            host.memory_used_mib
        );
        let words = match left.as_slice() {
            [] => "nothing".to_owned(),
            left => left.join(", "),
        };
        steps.insert("left".into(), words);
        Ok(())
    }
}

/// What the far side said in its steps.
fn faults(view: &OperationView) -> Vec<&String> {
    view.steps.iter().filter_map(|step| step.fault.as_ref()).collect()
}

/// A state as the API writes it; "nowhere" for none.
fn word(state: &impl Serialize) -> anyhow::Result<String> {
    let value = serde_json::to_value(state)?;
    Ok(value.as_str().unwrap_or("nowhere").to_owned())
}

/// Why an operation did not do what was asked: the code, not the words, which name ids.
fn cause(view: &OperationView) -> String {
    let error = view.error.as_ref();
    error.map_or_else(|| "no reason".to_owned(), |error| error.code.clone())
}

/// Which problem a refusal is.
fn refusal(error: &ClientError) -> anyhow::Result<String> {
    let ClientError::Problem(problem) = error else {
        anyhow::bail!("the server did not answer: {error}");
    };
    ensure!(
        problem.status < 500 || problem.status == 502,
        "the server failed: {problem:?}"
    );
    Ok(format!(
        "refused: {}",
        problem.kind.trim_start_matches("/problems/")
    ))
}

/// The same of an error that says what was attempted.
///
/// # Errors
/// As [`refusal`].
pub fn refusal_within(error: &anyhow::Error) -> anyhow::Result<String> {
    let client = error.downcast_ref::<ClientError>();
    let client = client.with_context(|| format!("{error:#}"))?;
    // The number of a host is that of its zone, which is chance.
    let what = error.to_string();
    let what = what.split_once(" z").map_or(what.as_str(), |(what, _)| what);
    Ok(format!("{what}, {}", refusal(client)?))
}
