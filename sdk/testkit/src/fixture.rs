//! Fixtures of policies: hosts, a request, and what must come of it; written by hand, or exported from a recorded decision.

mod seed;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use velum_model::port::{
    placement::{Column, Fact, PolicyAsk, PolicyDescriptor, registry},
    plugins::{ConfigPart, Plugins as _},
};

use crate::{Plugin, Sandbox};

/// A request over hosts, with what is expected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Fixture {
    /// What it shows, in a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The policy's configuration, or its JSON text where TOML cannot hold it: null, numbers beyond 63 bits [default: empty].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
    /// What is asked for.
    pub ask: AskFixture,
    /// The rows, in their order: compute hosts, or storage pools for a policy of pools.
    #[serde(rename = "host")]
    pub hosts: Vec<HostFixture>,
    /// What must come of it.
    pub expect: ExpectFixture,
}

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AskFixture {
    /// vCPUs.
    pub vcpus: u32,
    /// Memory.
    pub memory_mib: u32,
    /// Storage.
    pub gib: u32,
    /// Countable resources, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u32>,
    /// Chance, for a policy that compares rows: written as a decimal text, for half of all seeds are no integer of TOML.
    #[serde(with = "seed")]
    pub seed: u64,
    /// The minute since 1970 in which it is decided.
    #[serde(skip_serializing_if = "is_zero")]
    pub now_minute: u32,
    /// The minute since 1970 at which the machine is expected to end [default: nobody said].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_end: Option<u32>,
    /// Hosts that reach a pool with the template.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub template_cached: Vec<String>,
    /// The host that the instance ran on before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_host: Option<String>,
    /// How many instances of the same project hosts have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub same_project: BTreeMap<String, u32>,
    /// How many instances of the same project run in the pods of hosts, on compute hosts that are not in the fixture too [default
    /// for a host: what `same_project` says of its pod].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub same_project_in_pod: BTreeMap<String, u32>,
    /// How many members of the instance's affinity groups hosts have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kin: BTreeMap<String, u32>,
}

/// A compute host or pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct HostFixture {
    /// Its name.
    pub name: String,
    /// vCPUs that may still be promised.
    pub free_vcpus: u32,
    /// vCPUs that may be promised in all.
    pub total_vcpus: u32,
    /// MiB that may still be promised.
    pub free_memory_mib: u32,
    /// MiB that may be promised in all.
    pub total_memory_mib: u32,
    /// Active runs.
    pub runs: u32,
    /// GiB that may still be promised (pools).
    #[serde(skip_serializing_if = "is_zero")]
    pub free_gib: u32,
    /// GiB that may be promised in all (pools).
    #[serde(skip_serializing_if = "is_zero")]
    pub total_gib: u32,
    /// A number that rows of the same pod share.
    #[serde(skip_serializing_if = "is_zero")]
    pub pod: u32,
    /// A number that rows of the same cluster share.
    #[serde(skip_serializing_if = "is_zero")]
    pub cluster: u32,
    /// The latest minute since 1970 at which a run is expected to end; 4294967295 = one of which nobody said when.
    #[serde(skip_serializing_if = "is_zero")]
    pub latest_end: u32,
    /// Countable resources, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, ResourceFixture>,
    /// Operators' own attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, u32>,
}

/// A countable resource of a compute host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ResourceFixture {
    /// How much may still be promised.
    pub free: u32,
    /// How much may be promised in all.
    pub total: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes what it skips by reference"
)]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What must come of it; what is not said is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ExpectFixture {
    /// The host that wins, or one of those that tie: the server breaks ties.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub winner: Option<String>,
    /// All hosts are refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub nobody: bool,
    /// Hosts that the policy refuses, with a part of the words.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, String>,
    /// Hosts from best to worst, as far as they are named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
    /// Scores.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, u32>,
}

/// Why a fixture cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// The file.
    #[error("could not read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Its text.
    #[error("{}: {problem}", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The policy.
    #[error("the policy did not answer: {0}")]
    Policy(String),
}

/// What a policy says of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The host.
    pub host: String,
    /// Its score, or the refusal in words.
    pub verdict: Result<u32, String>,
}

/// What came of a fixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    /// Every host, best first, then those that are refused.
    pub said: Vec<Said>,
    /// Where it is not as expected.
    pub problems: Vec<String>,
    /// Fuel of the question.
    pub fuel: u64,
}

impl Fixture {
    /// Reads a file: TOML, or JSON where its name ends so.
    ///
    /// # Errors
    /// [`FixtureError`] with the key.
    pub fn read(path: &Path) -> Result<Self, FixtureError> {
        let text = std::fs::read_to_string(path).map_err(|source| FixtureError::Read {
            path: path.to_owned(),
            source,
        })?;
        let is_json = path.extension().is_some_and(|ending| ending == "json");
        Self::parse(&text, is_json).map_err(|problem| FixtureError::Parse {
            path: path.to_owned(),
            problem,
        })
    }

    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong with it, with the key.
    pub fn parse(text: &str, is_json: bool) -> Result<Self, String> {
        let fixture: Self = if is_json {
            let reader = &mut serde_json::Deserializer::from_str(text);
            serde_path_to_error::deserialize(reader)
                .map_err(|error| format!("{}: {}", error.path(), error.inner()))?
        } else {
            toml::from_str(text).map_err(|error| error.to_string())?
        };
        fixture.check()?;
        Ok(fixture)
    }

    fn check(&self) -> Result<(), String> {
        let expect = &self.expect;
        let asked = &self.ask;
        let names = expect
            .winner
            .iter()
            .chain(expect.refused.keys())
            .chain(&expect.order)
            .chain(expect.scores.keys())
            .chain(&asked.template_cached)
            .chain(&asked.previous_host)
            .chain(asked.same_project.keys())
            .chain(asked.same_project_in_pod.keys())
            .chain(asked.kin.keys());
        let known = |name: &String| self.hosts.iter().any(|host| host.name == *name);
        let mut unknown = names.filter(|name| !known(name));
        match unknown.next() {
            Some(name) => Err(format!("{name:?} is no host of this fixture")),
            None if self.hosts.is_empty() => Err("host: there is none".to_owned()),
            None => self.configuration().map(drop),
        }
    }

    /// What the policy is configured with. No configuration is a text: one that stands there is the JSON of it.
    fn configuration(&self) -> Result<Value, String> {
        match &self.config {
            None => Ok(Value::Object(serde_json::Map::new())),
            Some(Value::String(text)) => serde_json::from_str(text).map_err(|error| {
                format!("config: it is a text, but not of JSON: {error}; write a table or JSON")
            }),
            Some(config) => Ok(config.clone()),
        }
    }

    /// Asks the policy, as the server would: configured, loaded, one question about every row.
    ///
    /// # Errors
    /// [`FixtureError::Policy`]: it refuses the configuration, or fails.
    pub fn play(&self, sandbox: &Sandbox, plugin: &Plugin) -> Result<Played, FixtureError> {
        let failed = |problem: String| FixtureError::Policy(problem);
        let digest = &plugin.inspected.digest;
        let config = self.configuration().map_err(failed)?;
        let runtime = sandbox.runtime();
        runtime
            .check_config(digest, ConfigPart::Policy, &config)
            .map_err(|refused| failed(refused.to_string()))?;
        let mut policy = runtime
            .policy(digest, &config)
            .map_err(|refused| failed(refused.to_string()))?;
        let descriptor = policy.descriptor().clone();
        let count = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        let rows: Vec<u32> = (0..count).collect();
        policy
            .load(1, count, &self.values(&descriptor))
            .map_err(|failure| failed(failure.to_string()))?;
        let scores = policy
            .score(1, &self.asked(&descriptor), &rows)
            .map_err(|failure| failed(failure.to_string()))?;
        let mut said: Vec<Said> = self
            .hosts
            .iter()
            .zip(&scores)
            .map(|(host, score)| Said {
                host: host.name.clone(),
                verdict: verdict(*score, &descriptor),
            })
            .collect();
        // The refused last, the best first, equals in the order of the fixture.
        said.sort_by_key(|said| match said.verdict {
            Ok(score) => (0, u32::MAX - score),
            Err(_) => (1, 0),
        });
        let problems = self.problems(&said);
        Ok(Played {
            said,
            problems,
            fuel: policy.fuel_used(),
        })
    }

    fn values(&self, descriptor: &PolicyDescriptor) -> Vec<u32> {
        let columns = descriptor.columns.iter();
        columns
            .flat_map(|column| self.hosts.iter().map(move |host| host.value(column)))
            .collect()
    }

    fn asked(&self, descriptor: &PolicyDescriptor) -> PolicyAsk {
        let resource = |name: &str| self.ask.resources.get(name).copied().unwrap_or(0);
        let demand = |code: &u16| match *code {
            registry::DEMAND_VCPUS => self.ask.vcpus,
            registry::DEMAND_MEMORY_MIB => self.ask.memory_mib,
            registry::DEMAND_GIB => self.ask.gib,
            code => descriptor.resource_of(code).map_or(0, resource),
        };
        PolicyAsk {
            demand: descriptor.demands.iter().map(demand).collect(),
            attrs: self.attrs(descriptor),
            facts: descriptor.facts.iter().map(|id| self.fact(*id)).collect(),
            seed: if descriptor.row_local { 0 } else { self.ask.seed },
        }
    }

    fn attrs(&self, descriptor: &PolicyDescriptor) -> Vec<(u16, u32)> {
        let told = [
            (registry::ATTR_NOW, Some(self.ask.now_minute)),
            (registry::ATTR_EXPECTED_END, self.ask.expected_end),
        ];
        let wants = |code: u16| descriptor.demands.contains(&(registry::DEMAND_ATTRS + code));
        told.into_iter()
            .filter(|(code, _)| wants(*code))
            .filter_map(|(code, value)| Some((code, value?)))
            .collect()
    }

    fn fact(&self, id: u16) -> Fact {
        let by_pod = self.same_project_by_pod();
        let in_pod = |host: &HostFixture| {
            let told = self.ask.same_project_in_pod.get(&host.name);
            told.or_else(|| by_pod.get(&host.pod)).copied().unwrap_or(0)
        };
        let value = |host: &HostFixture| match id {
            registry::FACT_TEMPLATE_CACHED => u32::from(self.ask.template_cached.contains(&host.name)),
            registry::FACT_PREVIOUS_HOST => {
                u32::from(self.ask.previous_host.as_deref() == Some(host.name.as_str()))
            }
            registry::FACT_SAME_PROJECT => self.ask.same_project.get(&host.name).copied().unwrap_or(0),
            registry::FACT_SAME_PROJECT_IN_POD => in_pod(host),
            registry::FACT_KIN => self.ask.kin.get(&host.name).copied().unwrap_or(0),
            _ => 0,
        };
        let told = (0_u32..).zip(&self.hosts).map(|(row, host)| (row, value(host)));
        let (rows, values) = told.filter(|(_, value)| *value > 0).unzip();
        Fact { id, rows, values }
    }

    /// How many instances of the same project the fixture's hosts have, by pod.
    fn same_project_by_pod(&self) -> BTreeMap<u32, u32> {
        let mut by_pod = BTreeMap::<u32, u32>::new();
        for host in &self.hosts {
            let here = self.ask.same_project.get(&host.name).copied().unwrap_or(0);
            let sum = by_pod.entry(host.pod).or_default();
            *sum = sum.saturating_add(here);
        }
        by_pod
    }

    /// Where what was said is not as expected.
    fn problems(&self, said: &[Said]) -> Vec<String> {
        let of = |name: &str| {
            said.iter()
                .find(|said| said.host == name)
                .map(|said| &said.verdict)
        };
        let score = |name: &str| of(name).and_then(|verdict| verdict.as_ref().ok()).copied();
        let best = said.first().and_then(|said| said.verdict.as_ref().ok()).copied();
        let mut problems = Vec::new();
        if let Some(winner) = &self.expect.winner
            && (score(winner) != best || best.is_none())
        {
            let instead = said.first().filter(|_| best.is_some());
            let instead = instead.map_or("nobody", |said| said.host.as_str());
            problems.push(format!("{winner} was to win; it was {instead}"));
        }
        if self.expect.nobody && best.is_some() {
            problems.push("every host was to be refused".to_owned());
        }
        for (host, words) in &self.expect.refused {
            match of(host) {
                Some(Err(reason)) if reason.contains(words.as_str()) => {}
                Some(Err(reason)) => {
                    problems.push(format!(
                        "{host} was to be refused with {words:?}; it was with {reason:?}"
                    ));
                }
                Some(Ok(score)) => {
                    problems.push(format!("{host} was to be refused; it has the score {score}"));
                }
                None => {}
            }
        }
        for pair in self.expect.order.windows(2) {
            if let [better, worse] = pair
                && score(better) < score(worse)
            {
                let words = |name: &str| score(name).map_or("refused".to_owned(), |score| score.to_string());
                let (a, b) = (words(better), words(worse));
                problems.push(format!(
                    "{better} was to come before {worse}; the scores are {a} and {b}"
                ));
            }
        }
        for (host, wanted) in &self.expect.scores {
            if score(host) != Some(*wanted) {
                let came = score(host).map_or("a refusal".to_owned(), |score| score.to_string());
                problems.push(format!("{host} was to have the score {wanted}; it has {came}"));
            }
        }
        problems
    }
}

impl HostFixture {
    fn value(&self, column: &Column) -> u32 {
        let resource = || {
            let resource = column.resource().and_then(|name| self.resources.get(name));
            resource.copied().unwrap_or_default()
        };
        match column.id {
            registry::COLUMN_FREE_RESOURCE => resource().free,
            registry::COLUMN_TOTAL_RESOURCE => resource().total,
            registry::COLUMN_FREE_VCPUS => self.free_vcpus,
            registry::COLUMN_FREE_MEMORY_MIB => self.free_memory_mib,
            registry::COLUMN_TOTAL_VCPUS => self.total_vcpus,
            registry::COLUMN_TOTAL_MEMORY_MIB => self.total_memory_mib,
            registry::COLUMN_RUNS => self.runs,
            registry::COLUMN_FREE_GIB => self.free_gib,
            registry::COLUMN_TOTAL_GIB => self.total_gib,
            registry::COLUMN_POD => self.pod,
            registry::COLUMN_CLUSTER => self.cluster,
            registry::COLUMN_LATEST_END => self.latest_end,
            _ => {
                let name = column.name.as_deref().unwrap_or_default();
                self.attributes.get(name).copied().unwrap_or(0)
            }
        }
    }
}

fn verdict(score: u32, descriptor: &PolicyDescriptor) -> Result<u32, String> {
    if score < registry::REFUSE {
        return Ok(score);
    }
    let code = u16::try_from(score & 0xffff).unwrap_or_default();
    let known = descriptor.refusals.iter().find(|(known, _)| *known == code);
    Err(known.map_or_else(
        || format!("refusal {code}, without words"),
        |(_, words)| words.clone(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[ask]\nvcpus = 2\n[[host]]\nname = \"a\"\nfree-vcpus = 4\nattributes = { power_w = 7 }\n\
                        [[host]]\nname = \"b\"\n[expect]\nwinner = \"a\"\nrefused = { b = \"full\" }\n";

    fn said(a: Result<u32, &str>, b: Result<u32, &str>) -> Vec<Said> {
        [("a", a), ("b", b)]
            .into_iter()
            .map(|(host, verdict)| Said {
                host: host.to_owned(),
                verdict: verdict.map_err(str::to_owned),
            })
            .collect()
    }

    #[test]
    fn what_is_expected_is_compared_host_by_host() {
        let fixture = Fixture::parse(TEXT, false).unwrap();
        assert_eq!(
            fixture.problems(&said(Ok(5), Err("it is full"))),
            Vec::<String>::new()
        );
        let wrong = fixture.problems(&said(Err("no"), Ok(5)));
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        let json = serde_json::to_string(&fixture).unwrap();
        assert_eq!(Fixture::parse(&json, true).unwrap(), fixture);
    }

    #[test]
    fn a_host_has_what_it_says_of_a_resource_and_nothing_of_others() {
        let text = TEXT.replace(
            "attributes = {",
            "resources = { gpu = { free = 1, total = 4 } }\nattributes = {",
        );
        let fixture = Fixture::parse(&text, false).unwrap();
        let value = |host: usize, id, name: &str| {
            let column = Column {
                id,
                name: Some(name.into()),
                scale: 0,
            };
            fixture.hosts[host].value(&column)
        };
        let (free, total) = (registry::COLUMN_FREE_RESOURCE, registry::COLUMN_TOTAL_RESOURCE);
        assert_eq!((value(0, free, "gpu"), value(0, total, "gpu")), (1, 4));
        assert_eq!((value(0, free, "fpga"), value(1, total, "gpu")), (0, 0));
        assert_eq!(value(0, registry::COLUMN_ATTRIBUTE, "power_w"), 7);
    }

    #[test]
    fn a_pod_has_what_is_told_of_it_or_else_what_its_hosts_have() {
        let text = "[ask]\nsame-project = { a = 1, b = 2, c = 4 }\nsame-project-in-pod = { c = 9 }\n\
                    [[host]]\nname = \"a\"\npod = 1\n[[host]]\nname = \"b\"\npod = 1\n\
                    [[host]]\nname = \"c\"\npod = 2\n[[host]]\nname = \"d\"\npod = 3\n";
        let fixture = Fixture::parse(text, false).unwrap();
        let fact = fixture.fact(registry::FACT_SAME_PROJECT_IN_POD);
        assert_eq!((fact.rows, fact.values), (vec![0, 1, 2], vec![3, 3, 9]));
        let wrong = Fixture::parse(&text.replace("{ c = 9 }", "{ e = 9 }"), false);
        assert_eq!(wrong, Err("\"e\" is no host of this fixture".to_owned()));
    }

    #[test]
    fn every_seed_comes_back_from_toml_and_json() {
        for seed in [0, 1 << 63, u64::MAX] {
            let mut fixture = Fixture::parse(TEXT, false).unwrap();
            fixture.ask.seed = seed;
            let table = toml::Table::try_from(&fixture).unwrap();
            let toml = toml::to_string(&table).unwrap();
            assert_eq!(Fixture::parse(&toml, false).as_ref(), Ok(&fixture), "{toml}");
            let json = serde_json::to_string(&fixture).unwrap();
            assert_eq!(Fixture::parse(&json, true).as_ref(), Ok(&fixture), "{json}");
        }
    }

    #[test]
    fn a_configuration_may_be_the_text_of_one() {
        let with = |config: &str| Fixture::parse(&format!("config = {config}\n{TEXT}"), false);
        let text = with(r#"'{"most": 18446744073709551615, "least": null}'"#).unwrap();
        let expected = serde_json::json!({"most": u64::MAX, "least": null});
        assert_eq!(text.configuration(), Ok(expected));
        let table = with("{ most = 7 }").unwrap();
        assert_eq!(table.configuration(), Ok(serde_json::json!({"most": 7})));
        assert!(with("'green'").unwrap_err().starts_with("config: "));
    }

    #[test]
    fn a_fixture_that_is_written_wrongly_names_the_key() {
        let named = |text: &str| Fixture::parse(text, false).unwrap_err();
        assert!(named("[ask]\nvcpu = 2\n").contains("vcpu"));
        assert!(named(&TEXT.replace("winner = \"a\"", "winner = \"c\"")).contains("\"c\""));
        assert!(named("[ask]\nvcpus = 2\n").contains("host"));
    }
}
