//! Runs the cases of a world against a plugin.

mod calls;
mod driver;
mod inventory;
mod policy;
mod provider;
mod round;

use std::{collections::BTreeMap, time::Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use velum_model::{
    chance::derived,
    plugin::World,
    port::plugins::{PluginRefused, Plugins as _},
};

use crate::{
    Answer, Plugin, Sandbox, Settings,
    case::{BadCase, Case, Seen, Step, meaning},
};

pub(crate) use policy::{ask_of as policy_ask, inventory_of as inventory_values};
pub(crate) use round::{driver_round, provider_round};

/// How a case came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Verdict {
    /// The plugin keeps the rule.
    Passed,
    /// It does not.
    Failed(Failure),
    /// The rule is not about this plugin or cannot be shown on this far side.
    LeftOut {
        /// Why.
        reason: String,
    },
}

/// Where a case failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Number of the step, from 1.
    pub step: usize,
    /// What was asked.
    pub asked: String,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub came: String,
}

/// A case with how it came out.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The case.
    pub case: Case,
    /// How it came out.
    pub verdict: Verdict,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Why a suite could not run.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// The suite is wrong.
    #[error("the suite itself is wrong: {0}")]
    Case(#[from] BadCase),
    /// The plugin is not there.
    #[error("the plugin cannot be used: {0}")]
    Plugin(#[from] PluginRefused),
    /// The plugin does not say what it is.
    #[error("the plugin does not describe itself: {0}")]
    Describe(String),
}

/// What ends a case before its steps are over.
pub(crate) enum Stop {
    /// The rule cannot be shown here.
    LeftOut(String),
    /// There is no instance of the plugin.
    Broken(String),
}

/// Says the steps of one case to a plugin.
#[async_trait(?Send)]
pub(crate) trait Actor {
    /// Makes a step's call.
    async fn act(&mut self, step: &Step, earlier: &BTreeMap<String, Answer>) -> Result<Answer, Stop>;
    /// Removes what the case made, as far as that works.
    async fn clean(&mut self);
    /// A size in the plugin's own measure.
    fn size(&self, words: &str) -> Option<u64>;
}

/// What a suite runs against.
pub struct Suite<'a> {
    sandbox: &'a Sandbox,
    plugin: &'a Plugin,
    settings: &'a Settings,
    root: Uuid,
}

impl<'a> Suite<'a> {
    /// Over a plugin of the sandbox, with the settings as the far side completed them.
    #[must_use]
    pub fn new(sandbox: &'a Sandbox, plugin: &'a Plugin, settings: &'a Settings) -> Self {
        let root = sandbox.sources.ids.uuid();
        Self {
            sandbox,
            plugin,
            settings,
            root,
        }
    }

    /// What the plugin has of [`crate::case::TRAITS`].
    ///
    /// # Errors
    /// [`SuiteError`] when it does not say what it is.
    pub async fn traits(&self) -> Result<Vec<String>, SuiteError> {
        let mut traits = self.settings.traits.clone();
        let seen = match self.world() {
            World::PlacementPolicy => self.policy_traits()?,
            World::HypervisorDriver => self.driver_traits().await?,
            World::StorageProvider => self.provider_traits().await?,
        };
        traits.extend(seen.into_iter().map(str::to_owned));
        traits.sort();
        traits.dedup();
        Ok(traits)
    }

    /// Runs the cases that are chosen, one after another.
    ///
    /// # Errors
    /// [`SuiteError`]; that a case fails is an outcome.
    pub async fn run(
        &self,
        chosen: impl Fn(&Case) -> bool,
        mut told: impl FnMut(&Outcome),
    ) -> Result<Vec<Outcome>, SuiteError> {
        let traits = self.traits().await?;
        let mut outcomes = Vec::new();
        for case in Case::all(self.world())?.into_iter().filter(|case| chosen(case)) {
            let began = Instant::now();
            let verdict = self.verdict(&case, &traits).await?;
            let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let outcome = Outcome {
                case,
                verdict,
                took_ms,
            };
            told(&outcome);
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    fn world(&self) -> World {
        self.plugin.inspected.world
    }

    async fn verdict(&self, case: &Case, traits: &[String]) -> Result<Verdict, SuiteError> {
        if let Some(reason) = self.settings.skip.get(&case.name) {
            let reason = format!("conformance.toml: {reason}");
            return Ok(Verdict::LeftOut { reason });
        }
        if let Some(wanted) = case.left_out_by(traits) {
            let reason = match wanted.strip_prefix('!') {
                Some(unwanted) => format!("not where {} ({unwanted})", meaning(unwanted)),
                None => format!("only where {} ({wanted})", meaning(wanted)),
            };
            return Ok(Verdict::LeftOut { reason });
        }
        let mut actor = self.actor(case).await?;
        let manifest = serde_json::to_value(&self.plugin.inspected.manifest).unwrap_or_default();
        let verdict = play(case, &manifest, actor.as_mut()).await;
        actor.clean().await;
        Ok(verdict)
    }

    async fn actor(&self, case: &Case) -> Result<Box<dyn Actor + '_>, SuiteError> {
        let root = derived(self.root, &case.name);
        let digest = &self.plugin.inspected.digest;
        let runtime = self.sandbox.runtime();
        Ok(match self.world() {
            World::PlacementPolicy => {
                Box::new(policy::PolicyActor::new(runtime, digest.clone(), self.settings))
            }
            World::HypervisorDriver => {
                let driver = runtime.hypervisor(digest)?;
                Box::new(driver::DriverActor::new(driver, self.settings, root))
            }
            World::StorageProvider => {
                let provider = runtime.storage(digest)?;
                Box::new(provider::ProviderActor::new(provider, self.settings, root).await)
            }
        })
    }

    fn policy_traits(&self) -> Result<Vec<&'static str>, SuiteError> {
        let mut policy = policy::PolicyActor::new(
            self.sandbox.runtime(),
            self.plugin.inspected.digest.clone(),
            self.settings,
        );
        policy.traits().map_err(SuiteError::Describe)
    }

    async fn driver_traits(&self) -> Result<Vec<&'static str>, SuiteError> {
        let driver = self.sandbox.runtime().hypervisor(&self.plugin.inspected.digest)?;
        driver::traits(driver.as_ref(), self.settings)
            .await
            .map_err(|fault| SuiteError::Describe(fault.to_string()))
    }

    async fn provider_traits(&self) -> Result<Vec<&'static str>, SuiteError> {
        let provider = self.sandbox.runtime().storage(&self.plugin.inspected.digest)?;
        provider::traits(provider.as_ref(), self.settings, self.root)
            .await
            .map_err(|fault| SuiteError::Describe(fault.to_string()))
    }
}

/// Says one step after another, until an answer is not as expected.
async fn play(case: &Case, manifest: &Value, actor: &mut dyn Actor) -> Verdict {
    let mut answers: BTreeMap<String, Answer> = BTreeMap::new();
    for (number, step) in (1..).zip(&case.steps) {
        let asked = format!("{} {}", step.verb, step.args.in_words());
        let failed = |expected: String, came: String| {
            Verdict::Failed(Failure {
                step: number,
                asked: asked.trim_end().to_owned(),
                expected,
                came,
            })
        };
        let answer = match actor.act(step, &answers).await {
            Ok(answer) => answer,
            Err(Stop::LeftOut(reason)) => return Verdict::LeftOut { reason },
            Err(Stop::Broken(problem)) => return failed("an instance".to_owned(), problem),
        };
        let size = |words: &str| actor.size(words);
        let seen = Seen {
            answers: &answers,
            manifest,
            size: &size,
        };
        if let Err(mismatch) = step.expect.check(&answer, &seen) {
            return failed(mismatch.expected, mismatch.came);
        }
        if let Some(name) = &step.name {
            answers.insert(name.clone(), answer);
        }
    }
    Verdict::Passed
}
