//! Says cases to a placement policy.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use velum_model::{
    plugin::Digest,
    port::placement::{Fact, PolicyAsk, PolicyDescriptor, PolicyFailure, registry},
};
use velum_runtime::{BarePolicy, Runtime};

use super::{
    Actor, Stop,
    inventory::{NOW, Shape, values},
};
use crate::{Answer, Is, Settings, case::Step};

/// Compute hosts of an inventory, unless a case says otherwise.
const HOSTS: u32 = 10;
/// An attribute of a request that nobody knows.
const UNKNOWN_ATTR: (u16, u32) = (0x9001, 5);

/// An instance with what it said of itself.
struct Instance {
    bare: BarePolicy,
    descriptor: PolicyDescriptor,
}

/// One case.
pub struct PolicyActor<'a> {
    runtime: &'a Arc<Runtime>,
    digest: Digest,
    settings: &'a Settings,
    instances: BTreeMap<String, Instance>,
}

impl<'a> PolicyActor<'a> {
    /// No instance yet.
    pub const fn new(runtime: &'a Arc<Runtime>, digest: Digest, settings: &'a Settings) -> Self {
        Self {
            runtime,
            digest,
            settings,
            instances: BTreeMap::new(),
        }
    }

    /// What is seen of the policy's traits.
    ///
    /// # Errors
    /// There is no instance, in words.
    pub fn traits(&mut self) -> Result<Vec<&'static str>, String> {
        let descriptor = self.fresh()?.descriptor;
        let mut seen = vec![if descriptor.row_local {
            "row-local"
        } else {
            "compares-rows"
        }];
        let has = [
            ("configurable", !self.settings.policy.bad.is_empty()),
            ("facts", !descriptor.facts.is_empty()),
            ("demands", !descriptor.demands.is_empty()),
            ("columns", !descriptor.columns.is_empty()),
        ];
        seen.extend(has.into_iter().filter(|(_, has)| *has).map(|(name, _)| name));
        Ok(seen)
    }

    fn config(&self) -> String {
        let config = self.settings.policy.config.as_ref();
        config.map_or_else(|| "{}".to_owned(), ToString::to_string)
    }

    fn fresh(&self) -> Result<Instance, String> {
        let mut bare = self
            .runtime
            .bare_policy(&self.digest)
            .map_err(|refused| refused.to_string())?;
        let config = self.config();
        bare.configure(&config)
            .map_err(|failure| failure.to_string())?
            .map_err(|words| format!("it refuses the configuration {config}: {words}"))?;
        let descriptor = bare.describe().map_err(|failure| failure.to_string())?;
        Ok(Instance { bare, descriptor })
    }

    fn instance(&mut self, step: &Step) -> Result<&mut Instance, Stop> {
        let label = step.args.text("instance").unwrap_or("one").to_owned();
        if step.verb == "fresh" || !self.instances.contains_key(&label) {
            let fresh = self.fresh().map_err(Stop::Broken)?;
            self.instances.insert(label.clone(), fresh);
        }
        self.instances
            .get_mut(&label)
            .ok_or_else(|| Stop::Broken(format!("there is no instance {label}")))
    }

    fn say(&mut self, step: &Step) -> Result<Answer, Stop> {
        let bad = self.settings.policy.bad.first().cloned();
        let config = self.config();
        let instance = self.instance(step)?;
        Ok(match step.verb.as_str() {
            "configure" if step.args.flag("bad", false) => {
                let Some(bad) = bad else {
                    return Err(Stop::LeftOut(
                        "the settings name no configuration to refuse".to_owned(),
                    ));
                };
                instance.configure(&bad.json, &bad.names)
            }
            "configure" => instance.configure(&config, ""),
            "load" => instance.load(step),
            "apply" => instance.apply(step),
            "score" => instance.score(step),
            _ => instance.describe(),
        })
    }
}

impl Instance {
    fn describe(&mut self) -> Answer {
        answered(self.bare.describe(), |said| {
            let unknown = unknown_codes(&said);
            let mut body = serde_json::to_value(said).unwrap_or_default();
            if let Some(fields) = body.as_object_mut() {
                fields.insert("unknown_codes".to_owned(), json!(unknown));
            }
            Answer::new(Is::Answer, body)
        })
    }

    fn configure(&mut self, json: &str, names: &str) -> Answer {
        let answer = answered(self.bare.configure(json), |took| match took {
            Ok(()) => Answer::new(Is::Taken, Value::Null),
            Err(words) => {
                let body = json!({"words": words, "names_the_field": words.contains(names), "field": names});
                Answer::new(Is::NotTaken, body)
            }
        });
        // What it wants may have changed: the columns that are given to it follow.
        if let Ok(descriptor) = self.bare.describe() {
            self.descriptor = descriptor;
        }
        answer
    }

    fn load(&mut self, step: &Step) -> Answer {
        let hosts = hosts(step);
        let rows: Vec<u32> = (0..hosts).collect();
        let mut given = self.values(step, &rows);
        resize(&mut given, step);
        let taken = self
            .bare
            .load(step.args.number("epoch").unwrap_or(1), hosts, &given);
        answered(taken, taken_or_not)
    }

    fn apply(&mut self, step: &Step) -> Answer {
        let rows = step.args.numbers("rows").unwrap_or_default();
        let mut given = self.values(step, &rows);
        resize(&mut given, step);
        let before = step.args.number("before").unwrap_or(1);
        let after = step.args.number("after").unwrap_or(2);
        answered(self.bare.apply(before, after, &rows, &given), taken_or_not)
    }

    fn values(&self, step: &Step, rows: &[u32]) -> Vec<u32> {
        let shape = match step.args.text("values") {
            Some("zero") => Shape::Zero,
            Some("largest") => Shape::Largest,
            _ => Shape::Usual,
        };
        let world = step.args.text("world").unwrap_or("a");
        values(world, &self.descriptor.columns, rows, shape)
    }

    fn score(&mut self, step: &Step) -> Answer {
        let asked = step.args.numbers("rows").unwrap_or_default();
        let every: Vec<u32> = (0..hosts(step)).collect();
        let rows: &[u32] = if asked.is_empty() { &every } else { &asked };
        let ask = self.ask(step, rows);
        let epoch = step.args.number("epoch").unwrap_or(1);
        let mut last = None;
        for _ in 0..step.args.number("times").unwrap_or(1).max(1) {
            match self.bare.score(epoch, &ask, &asked, rows.len()) {
                Ok(scores) => last = Some(scores),
                Err(failure) => return Answer::new(Is::Fault, failed(&failure)),
            }
        }
        self.scored(rows, last.unwrap_or_default())
    }

    fn scored(&self, rows: &[u32], scores: Vec<u32>) -> Answer {
        let refusal = |score: &&u32| **score >= registry::REFUSE;
        let codes: BTreeSet<u16> = scores
            .iter()
            .filter(refusal)
            .map(|score| u16::try_from(score & 0xffff).unwrap_or_default())
            .collect();
        let in_words = |code: &u16| {
            let known = self.descriptor.refusals.iter().find(|(known, _)| known == code);
            known.is_some_and(|(_, words)| !words.trim().is_empty())
        };
        let silent: Vec<u16> = codes.iter().copied().filter(|code| !in_words(code)).collect();
        let by_row: Map<String, Value> = rows
            .iter()
            .zip(&scores)
            .map(|(row, score)| (row.to_string(), json!(score)))
            .collect();
        let body = json!({
            "count": scores.len(), "refused": scores.iter().filter(refusal).count(), "without_words": silent,
            "by_row": by_row, "scores": scores,
            "cost": {"fuel": self.bare.fuel_used(), "memory_bytes": self.bare.memory_bytes()},
        });
        Answer::new(Is::Answer, body)
    }

    fn ask(&self, step: &Step, rows: &[u32]) -> PolicyAsk {
        let times = match step.args.text("ask") {
            Some("nothing") => 0,
            Some("large") => 8,
            _ => 1,
        };
        let some: BTreeSet<u32> = rows.iter().copied().filter(|row| row % 3 == 0).collect();
        let fact = |id: &u16| Fact {
            id: *id,
            rows: some.iter().copied().collect(),
            values: some.iter().map(|row| 1 + row % 2).collect(),
        };
        PolicyAsk {
            demand: self
                .descriptor
                .demands
                .iter()
                .map(|code| amount(*code, times))
                .collect(),
            attrs: if step.args.flag("attrs", false) {
                [attrs(&self.descriptor, times), vec![UNKNOWN_ATTR]].concat()
            } else {
                attrs(&self.descriptor, times)
            },
            facts: if step.args.flag("facts", true) {
                self.descriptor.facts.iter().map(fact).collect()
            } else {
                Vec::new()
            },
            seed: step.args.number("seed").unwrap_or(7),
        }
    }
}

/// Codes that a descriptor names and no registry does; vendors' own begin at 0x8000.
fn unknown_codes(descriptor: &PolicyDescriptor) -> Vec<String> {
    /// The last code of each registry (`wit/placement/policy.wit`).
    const LAST: [(&str, u16); 3] = [
        ("column", registry::COLUMN_TOTAL_RESOURCE),
        ("demand", registry::DEMAND_GIB),
        ("fact", registry::FACT_SAME_PROJECT_IN_POD),
    ];
    /// Codes from here on belong to vendors.
    const VENDOR: u16 = 0x8000;
    let columns = descriptor.columns.iter().map(|column| ("column", column.id));
    let demands = descriptor.demands.iter().map(|id| ("demand", *id));
    let facts = descriptor.facts.iter().map(|id| ("fact", *id));
    let is_attr = |kind: &str, id: u16| {
        kind == "demand"
            && (registry::DEMAND_ATTRS + registry::ATTR_NOW
                ..=registry::DEMAND_ATTRS + registry::ATTR_EXPECTED_END)
                .contains(&id)
    };
    let is_resource = |kind: &str, id: u16| kind == "demand" && descriptor.resource_of(id).is_some();
    let is_unknown = |(kind, id): &(&str, u16)| {
        !is_attr(kind, *id)
            && !is_resource(kind, *id)
            && LAST
                .iter()
                .any(|(known, last)| known == kind && id > last && *id < VENDOR)
    };
    columns
        .chain(demands)
        .chain(facts)
        .filter(is_unknown)
        .map(|(kind, id)| format!("{kind} {id}"))
        .collect()
}

/// An inventory of so many hosts for a policy, column after column.
pub(crate) fn inventory_of(descriptor: &PolicyDescriptor, hosts: u32) -> Vec<u32> {
    let rows: Vec<u32> = (0..hosts).collect();
    values("a", &descriptor.columns, &rows, Shape::Usual)
}

/// A usual request without facts.
pub(crate) fn ask_of(descriptor: &PolicyDescriptor) -> PolicyAsk {
    PolicyAsk {
        demand: descriptor.demands.iter().map(|code| amount(*code, 1)).collect(),
        attrs: attrs(descriptor, 1),
        facts: Vec::new(),
        seed: 7,
    }
}

/// The attributes that a policy wants, of a request that is expected to last so many times an hour.
fn attrs(descriptor: &PolicyDescriptor, times: u32) -> Vec<(u16, u32)> {
    let told = [
        (registry::ATTR_NOW, NOW),
        (registry::ATTR_EXPECTED_END, NOW + 60 * times),
    ];
    let wants = |code: u16| descriptor.demands.contains(&(registry::DEMAND_ATTRS + code));
    told.into_iter().filter(|(code, _)| wants(*code)).collect()
}

/// How much of a demand a request asks for.
const fn amount(code: u16, times: u32) -> u32 {
    match code {
        registry::DEMAND_VCPUS => 2 * times,
        registry::DEMAND_MEMORY_MIB => 2048 * times,
        registry::DEMAND_ATTRS..=registry::DEMAND_ATTRS_LAST => 0,
        registry::DEMAND_RESOURCES..=registry::DEMAND_RESOURCES_LAST => times,
        _ => 20 * times,
    }
}

fn hosts(step: &Step) -> u32 {
    let hosts = step
        .args
        .number("hosts")
        .and_then(|hosts| u32::try_from(hosts).ok());
    hosts.unwrap_or(HOSTS)
}

/// Gives too many or too few values, where a case wants to.
fn resize(values: &mut Vec<u32>, step: &Step) {
    let count = |name: &str| {
        let number = step.args.number(name).unwrap_or(0);
        usize::try_from(number).unwrap_or(0)
    };
    let length = (values.len() + count("too-many")).saturating_sub(count("too-few"));
    values.resize(length, 0);
}

fn taken_or_not(taken: bool) -> Answer {
    Answer::new(if taken { Is::Taken } else { Is::NotTaken }, Value::Null)
}

fn answered<T>(answer: Result<T, PolicyFailure>, body: impl FnOnce(T) -> Answer) -> Answer {
    match answer {
        Ok(answer) => body(answer),
        Err(failure) => Answer::new(Is::Fault, failed(&failure)),
    }
}

fn failed(failure: &PolicyFailure) -> Value {
    let code = match failure {
        PolicyFailure::Trapped(_) => "trapped",
        PolicyFailure::OutOfFuel => "out-of-fuel",
        PolicyFailure::Nonsense(_) => "nonsense",
        PolicyFailure::Configuration(_) => "configuration",
        PolicyFailure::Unavailable(_) => "unavailable",
    };
    json!({"code": code, "detail": failure.to_string()})
}

#[async_trait(?Send)]
impl Actor for PolicyActor<'_> {
    async fn act(&mut self, step: &Step, _: &BTreeMap<String, Answer>) -> Result<Answer, Stop> {
        self.say(step)
    }

    async fn clean(&mut self) {
        self.instances.clear();
    }

    fn size(&self, _: &str) -> Option<u64> {
        None
    }
}
