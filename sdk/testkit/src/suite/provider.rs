//! Says cases to a storage provider.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use uuid::Uuid;
use velum_model::{
    fault::Fault,
    port::{
        Outcome, TargetKind,
        storage::{Consumer, ProviderDescriptor, Source, StorageProvider, VolumeRef, VolumeSpec, registry},
        target::AttrValue,
    },
};

use super::{
    Actor, Stop,
    calls::{CRITICAL, Calls, token},
};
use crate::{Answer, Is, Settings, case::Step, settings::ConsumerSettings};

/// What sizes of the cases are multiples of: enough for any array, little enough for a laptop's disk.
const UNIT_BYTES: u64 = 64 << 20;
/// Pages that are walked: a pool of a million volumes with a page of a thousand.
const PAGES_MAX: usize = 1_000;

/// What is seen of a provider's traits.
///
/// # Errors
/// When it does not describe itself.
pub async fn traits(
    provider: &dyn StorageProvider,
    settings: &Settings,
    root: Uuid,
) -> Result<Vec<&'static str>, Fault> {
    let calls = Calls::new(TargetKind::StoragePool, settings, root);
    let descriptor = provider.describe(&calls.target).await?;
    let mut seen = Vec::new();
    let has = |feature: u16| descriptor.features.contains(&feature);
    if descriptor.granularity_bytes > 1 {
        seen.push("granular");
    }
    if has(registry::FEATURE_CLONE_INDEPENDENT) {
        seen.push("independent-clones");
    }
    if settings.consumers.len() > 1 {
        seen.push("two-consumers");
    }
    Ok(seen)
}

/// One case.
pub struct ProviderActor<'a> {
    provider: Arc<dyn StorageProvider>,
    settings: &'a Settings,
    calls: Calls,
    descriptor: Option<ProviderDescriptor>,
    backends: BTreeMap<String, String>,
    made: Vec<String>,
    published: Vec<(String, String)>,
}

impl<'a> ProviderActor<'a> {
    /// Nothing said yet.
    pub async fn new(provider: Arc<dyn StorageProvider>, settings: &'a Settings, root: Uuid) -> Self {
        let calls = Calls::new(TargetKind::StoragePool, settings, root);
        let descriptor = provider.describe(&calls.target).await.ok();
        Self {
            provider,
            settings,
            calls,
            descriptor,
            backends: BTreeMap::new(),
            made: Vec::new(),
            published: Vec::new(),
        }
    }

    fn volume(&mut self, label: &str) -> VolumeRef {
        let id = self.calls.labels.id("volume", label);
        let unknown = || format!("never-made-{}", id.simple());
        VolumeRef {
            id,
            backend_id: self.backends.get(label).cloned().unwrap_or_else(unknown),
        }
    }

    fn label(step: &Step) -> String {
        step.args.text("volume").unwrap_or("a").to_owned()
    }

    fn node(&mut self, step: &Step) -> (String, Uuid) {
        let label = step.args.text("node").unwrap_or("n1").to_owned();
        let id = self.calls.labels.id("node", &label);
        (label, id)
    }

    fn consumer(&mut self, step: &Step) -> Consumer {
        let (label, node) = self.node(step);
        let number: usize = label.trim_start_matches('n').parse().unwrap_or(1);
        let known = self.settings.consumers.get(number.saturating_sub(1));
        let ConsumerSettings { initiators } = known.cloned().unwrap_or_default();
        let mode = step.args.number("mode").and_then(|mode| u16::try_from(mode).ok());
        Consumer {
            node,
            initiators,
            mode: mode.unwrap_or(registry::MODE_RW),
        }
    }

    async fn create(&mut self, step: &Step) -> Answer {
        let label = Self::label(step);
        let id = self.calls.labels.id("volume", &label);
        let of = match (step.args.text("of"), step.args.flag("ghost", false)) {
            (Some(source), _) => Some(self.volume(source)),
            (None, true) => Some(self.volume("a volume that is not there")),
            (None, false) => None,
        };
        let format = self
            .descriptor
            .as_ref()
            .and_then(|known| known.formats.first().copied());
        let spec = VolumeSpec {
            id,
            size_bytes: self
                .size(step.args.text("size").unwrap_or("1x"))
                .unwrap_or(UNIT_BYTES),
            format: format.unwrap_or(registry::FORMAT_RAW),
            source: Source {
                kind: if of.is_some() {
                    registry::SOURCE_LAYER
                } else {
                    registry::SOURCE_BLANK
                },
                of,
            },
            attrs: if step.args.flag("critical", false) {
                vec![CRITICAL]
            } else {
                Vec::new()
            },
        };
        self.made.push(label.clone());
        let call = self.calls.call(step, id, 0);
        let first = self.provider.create(&call, &spec).await;
        let answer = self.end(step, call, first).await;
        let backend = answer.body.pointer("/attrs/1").and_then(Value::as_str);
        if let Some(backend) = backend.filter(|_| answer.is == Is::Done) {
            self.backends.entry(label).or_insert_with(|| backend.to_owned());
        }
        answer
    }

    /// Follows long work, unless the step wants to see it.
    async fn end(&self, step: &Step, call: velum_model::port::Call, first: Result<Outcome, Fault>) -> Answer {
        if !step.args.flag("follow", true) {
            return Answer::of_change(first);
        }
        let poll = async |token: String| self.provider.poll(&call, &token).await;
        self.calls.follow(first, poll).await
    }

    async fn change(&mut self, step: &Step) -> Answer {
        let label = Self::label(step);
        let volume = self.volume(&label);
        let call = self.calls.call(step, volume.id, 0);
        let first = match step.verb.as_str() {
            "delete" => self.provider.delete(&call, &volume).await,
            "expand" => {
                let size = self
                    .size(step.args.text("size").unwrap_or("2x"))
                    .unwrap_or(UNIT_BYTES);
                self.provider.expand(&call, &volume, size).await
            }
            "publish" => {
                let consumer = self.consumer(step);
                let (node, _) = self.node(step);
                self.published.push((label, node));
                self.provider.publish(&call, &volume, &consumer).await
            }
            _ => {
                let (_, node) = self.node(step);
                self.provider.unpublish(&call, &volume, node).await
            }
        };
        self.end(step, call, first).await
    }

    async fn observe(&mut self) -> Answer {
        let mut after: Option<String> = None;
        let (mut counts, mut volumes) = (Map::new(), Map::new());
        let mut complete = true;
        for pages in 1..=PAGES_MAX {
            let page = match self.provider.observe(&self.calls.target, after.as_deref()).await {
                Ok(page) => page,
                Err(fault) => return Answer::of_fault(&fault),
            };
            complete &= page.complete;
            for info in page.volumes {
                let id = info.volume.id.to_string();
                let count = counts.get(&id).and_then(Value::as_u64).unwrap_or(0);
                counts.insert(id.clone(), json!(count + 1));
                volumes.insert(id, serde_json::to_value(info).unwrap_or_default());
            }
            if page.next.is_none() {
                let body =
                    json!({"complete": complete, "pages": pages, "counts": counts, "volumes": volumes});
                return Answer::new(Is::Answer, body);
            }
            after = page.next;
        }
        Answer::new(Is::Unfinished, json!(format!("more than {PAGES_MAX} pages")))
    }

    async fn ask(&mut self, step: &Step) -> Answer {
        let label = Self::label(step);
        let target = self.calls.target.clone();
        match step.verb.as_str() {
            "describe" => Answer::of_question(json_of(self.provider.describe(&target).await)),
            "probe" => Answer::of_question(json_of(self.provider.probe(&target).await)),
            "find" => {
                let id = self.calls.labels.id("volume", &label);
                let found = self.provider.find(&target, id).await;
                Answer::of_search(found.map(|found| found.and_then(|info| serde_json::to_value(info).ok())))
            }
            _ => {
                let volume = self.volume(&label);
                let (_, node) = self.node(step);
                let found = self.provider.reached_by(&target, &volume, node).await;
                let body = |found: velum_model::port::storage::Attachment| {
                    json!({
                        "kind": found.kind, "format": found.format, "identity": found.identity,
                        "size_bytes": found.size_bytes, "path": path_of(&found.params),
                        "is_declared": self.declares(found.kind),
                    })
                };
                Answer::of_search(found.map(|found| found.map(body)))
            }
        }
    }

    fn declares(&self, kind: u16) -> bool {
        let known = self.descriptor.as_ref();
        known.is_some_and(|known| known.attachment_kinds.contains(&kind))
    }

    async fn poll(&mut self, step: &Step, earlier: &BTreeMap<String, Answer>) -> Result<Answer, Stop> {
        let token = token(&step.args, earlier)?;
        let object = self.calls.labels.id("volume", "a");
        let call = self.calls.call(step, object, 0);
        Ok(Answer::of_change(self.provider.poll(&call, &token).await))
    }
}

fn path_of(params: &[velum_model::port::target::Attr]) -> Option<&str> {
    params.iter().find_map(|attr| match &attr.value {
        AttrValue::Text(path) if attr.code == registry::PARAM_PATH => Some(path.as_str()),
        _ => None,
    })
}

fn json_of<T: serde::Serialize>(answer: Result<T, Fault>) -> Result<Value, Fault> {
    answer.map(|answer| serde_json::to_value(answer).unwrap_or_default())
}

#[async_trait(?Send)]
impl Actor for ProviderActor<'_> {
    async fn act(&mut self, step: &Step, earlier: &BTreeMap<String, Answer>) -> Result<Answer, Stop> {
        let answer = match step.verb.as_str() {
            "create" => self.create(step).await,
            "delete" | "expand" | "publish" | "unpublish" => self.change(step).await,
            "observe" => self.observe().await,
            "poll" => self.poll(step, earlier).await?,
            _ => self.ask(step).await,
        };
        Ok(self.calls.named(answer))
    }

    async fn clean(&mut self) {
        // Under effects of their own; what is refused here is somebody's to look at, not this case's.
        for (volume, node) in std::mem::take(&mut self.published) {
            let of = self.volume(&volume);
            let node_id = self.calls.labels.id("node", &node);
            let call = self.calls.call_as(&format!("clean {volume} {node}"), of.id, 0);
            let first = self.provider.unpublish(&call, &of, node_id).await;
            let poll = async |token: String| self.provider.poll(&call, &token).await;
            self.calls.follow(first, poll).await;
        }
        let mut made = std::mem::take(&mut self.made);
        made.reverse();
        for label in made
            .into_iter()
            .filter(|label| self.backends.contains_key(label))
            .collect::<Vec<_>>()
        {
            let of = self.volume(&label);
            let call = self.calls.call_as(&format!("clean {label}"), of.id, 0);
            let first = self.provider.delete(&call, &of).await;
            let poll = async |token: String| self.provider.poll(&call, &token).await;
            self.calls.follow(first, poll).await;
        }
    }

    fn size(&self, words: &str) -> Option<u64> {
        let known = self.descriptor.as_ref()?;
        let step = known.granularity_bytes.max(1);
        let unit = UNIT_BYTES.max(known.min_bytes).div_ceil(step) * step;
        match words {
            "odd" => Some(unit + 1),
            "over-max" => Some(known.max_bytes.saturating_add(step)),
            _ => words
                .strip_suffix('x')?
                .parse::<u64>()
                .ok()
                .map(|times| unit * times),
        }
    }
}
