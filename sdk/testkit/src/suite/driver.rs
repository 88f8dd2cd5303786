//! Says cases to a hypervisor driver.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use uuid::Uuid;
use velum_model::{
    fault::Fault,
    id::RunId,
    port::{
        Call, Outcome, TargetKind,
        hypervisor::{Disk, GuestSpec, HypervisorDriver, RunHandle, registry},
        storage::{Attachment, registry as storage},
        target::Attr,
    },
};

use super::{
    Actor, Stop,
    calls::{CRITICAL, Calls, token},
};
use crate::{Answer, Is, Settings, case::Step, settings::put};

/// Pages that are walked: a manager of a hundred thousand guests with a page of a hundred.
const PAGES_MAX: usize = 1_000;

/// What is seen of a driver's traits.
///
/// # Errors
/// When it does not describe itself.
pub async fn traits(driver: &dyn HypervisorDriver, settings: &Settings) -> Result<Vec<&'static str>, Fault> {
    let descriptor = driver.describe().await?;
    let has_devices = descriptor.interfaces.iter().any(|name| name == "devices");
    let mut seen = Vec::new();
    if has_devices && settings.disk.is_some() {
        seen.push("disks");
    }
    Ok(seen)
}

/// One case.
pub struct DriverActor<'a> {
    driver: Arc<dyn HypervisorDriver>,
    settings: &'a Settings,
    calls: Calls,
    generations: BTreeMap<String, u64>,
}

impl<'a> DriverActor<'a> {
    /// Nothing said yet.
    pub fn new(driver: Arc<dyn HypervisorDriver>, settings: &'a Settings, root: Uuid) -> Self {
        Self {
            driver,
            settings,
            calls: Calls::new(TargetKind::ComputeHost, settings, root),
            generations: BTreeMap::new(),
        }
    }

    fn label(step: &Step) -> String {
        step.args.text("run").unwrap_or("a").to_owned()
    }

    /// The run of a step, under the generation that it was last given.
    fn run(&mut self, label: &str, generation: Option<u64>) -> RunHandle {
        let known = self.generations.entry(label.to_owned()).or_insert(1);
        if let Some(generation) = generation {
            *known = generation;
        }
        RunHandle {
            id: RunId::from_uuid(self.calls.labels.id("run", label)),
            generation: *known,
        }
    }

    fn spec(&self, step: &Step) -> GuestSpec {
        let own = &self.settings.guest;
        let times = if step.args.flag("larger", false) { 2 } else { 1 };
        let mut attrs = vec![Attr::text(registry::GUEST_NAME, "conformance")];
        if step.args.flag("critical", false) {
            attrs.push(CRITICAL);
        }
        GuestSpec {
            vcpus: own.vcpus,
            vcpus_max: own.vcpus,
            memory_mib: own.memory_mib * times,
            memory_max_mib: own.memory_mib * times,
            arch: own.arch,
            disks: Vec::new(),
            nics: Vec::new(),
            attrs,
        }
    }

    fn slot(step: &Step) -> u16 {
        step.args
            .number("slot")
            .and_then(|slot| u16::try_from(slot).ok())
            .unwrap_or(1)
    }

    /// The disk that a step speaks of.
    ///
    /// # Errors
    /// The settings do not say what a disk is.
    fn disk(&mut self, step: &Step) -> Result<Disk, Stop> {
        let Some(own) = &self.settings.disk else {
            return Err(Stop::LeftOut("the settings name no disk".to_owned()));
        };
        let volume = self
            .calls
            .labels
            .id("volume", step.args.text("volume").unwrap_or("v"));
        let names = BTreeMap::from([("volume".to_owned(), volume.to_string())]);
        let path = own
            .path
            .as_ref()
            .map(|path| Attr::text(storage::PARAM_PATH, put(path, &names)));
        Ok(Disk {
            slot: Self::slot(step),
            volume,
            attachment: Attachment {
                kind: own.kind,
                format: own.format,
                identity: put(&own.identity, &names),
                size_bytes: own.size_bytes,
                params: path.into_iter().collect(),
                secret: None,
            },
            bus: registry::BUS_VIRTIO,
            readonly: false,
            boot_order: None,
            attrs: Vec::new(),
        })
    }

    async fn change(&mut self, step: &Step) -> Result<Answer, Stop> {
        let label = Self::label(step);
        let run = self.run(&label, step.args.number("generation"));
        let object = self.calls.labels.id("instance", &label);
        let call = self.calls.call(step, object, run.generation);
        let driver = Arc::clone(&self.driver);
        let first = match step.verb.as_str() {
            "ensure" => driver.ensure(&call, run, &self.spec(step)).await,
            "start" => driver.start(&call, run, &self.spec(step)).await,
            "shutdown" => driver.shutdown(&call, run).await,
            "kill" => driver.kill(&call, run).await,
            "reboot" => driver.reboot(&call, run, step.args.flag("hard", false)).await,
            "remove" => driver.remove(&call, run).await,
            "attach-disk" => {
                let disk = self.disk(step)?;
                driver.attach_disk(&call, run, &disk).await
            }
            _ => driver.detach_disk(&call, run, Self::slot(step)).await,
        };
        if !step.args.flag("follow", true) {
            return Ok(Answer::of_change(first));
        }
        Ok(self.end(&call, run, first).await)
    }

    async fn end(&self, call: &Call, run: RunHandle, first: Result<Outcome, Fault>) -> Answer {
        let poll = async |token: String| self.driver.poll(call, run, &token).await;
        self.calls.follow(first, poll).await
    }

    async fn observe(&mut self) -> Answer {
        let mut after: Option<String> = None;
        let (mut counts, mut runs) = (Map::new(), Map::new());
        let mut complete = true;
        for pages in 1..=PAGES_MAX {
            let page = match self.driver.observe(&self.calls.target, after.as_deref()).await {
                Ok(page) => page,
                Err(fault) => return Answer::of_fault(&fault),
            };
            complete &= page.complete;
            for seen in page.runs {
                let id = seen.run.uuid().to_string();
                let count = counts.get(&id).and_then(Value::as_u64).unwrap_or(0);
                counts.insert(id.clone(), json!(count + 1));
                runs.insert(id, serde_json::to_value(seen).unwrap_or_default());
            }
            if page.next.is_none() {
                let body = json!({
                    "boot_id": page.boot_id, "sequence": page.sequence, "complete": complete, "pages": pages,
                    "counts": counts, "runs": runs,
                });
                return Answer::new(Is::Answer, body);
            }
            after = page.next;
        }
        Answer::new(Is::Unfinished, json!(format!("more than {PAGES_MAX} pages")))
    }

    async fn ask(&mut self, step: &Step) -> Answer {
        let target = self.calls.target.clone();
        match step.verb.as_str() {
            "describe" => Answer::of_question(json_of(self.driver.describe().await)),
            "probe" => {
                let nodes = json_of(self.driver.probe(&target).await);
                Answer::of_question(nodes.map(|nodes| json!({"nodes": nodes})))
            }
            _ => {
                let run = self.run(&Self::label(step), None);
                let found = self.driver.observe_run(&target, run).await;
                Answer::of_search(found.map(|found| found.and_then(|seen| serde_json::to_value(seen).ok())))
            }
        }
    }

    async fn poll(&mut self, step: &Step, earlier: &BTreeMap<String, Answer>) -> Result<Answer, Stop> {
        let token = token(&step.args, earlier)?;
        let label = Self::label(step);
        let run = self.run(&label, None);
        let object = self.calls.labels.id("instance", &label);
        let call = self.calls.call(step, object, run.generation);
        Ok(Answer::of_change(self.driver.poll(&call, run, &token).await))
    }
}

fn json_of<T: serde::Serialize>(answer: Result<T, Fault>) -> Result<Value, Fault> {
    answer.map(|answer| serde_json::to_value(answer).unwrap_or_default())
}

#[async_trait(?Send)]
impl Actor for DriverActor<'_> {
    async fn act(&mut self, step: &Step, earlier: &BTreeMap<String, Answer>) -> Result<Answer, Stop> {
        let answer = match step.verb.as_str() {
            "describe" | "probe" | "observe-run" => self.ask(step).await,
            "observe" => self.observe().await,
            "poll" => self.poll(step, earlier).await?,
            _ => self.change(step).await?,
        };
        Ok(self.calls.named(answer))
    }

    async fn clean(&mut self) {
        // Under effects of their own; what is refused here is somebody's to look at, not this case's.
        for label in self.generations.keys().cloned().collect::<Vec<_>>() {
            let run = self.run(&label, None);
            let object = self.calls.labels.id("instance", &label);
            for verb in ["kill", "remove"] {
                let call = self
                    .calls
                    .call_as(&format!("clean {verb} {label}"), object, run.generation);
                let first = match verb {
                    "kill" => self.driver.kill(&call, run).await,
                    _ => self.driver.remove(&call, run).await,
                };
                self.end(&call, run, first).await;
            }
        }
    }

    fn size(&self, _: &str) -> Option<u64> {
        None
    }
}
