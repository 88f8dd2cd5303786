//! The policies of a zone: rows, and an instance of each that was asked.

use std::{collections::HashMap, sync::Arc};

use velum_model::{
    id::PolicyId,
    plugin::Policy,
    port::{
        placement::PolicyFailure,
        plugins::{PluginRefused, Plugins},
    },
};
use velum_placement::{PolicyLabel, Ranker};

/// Rankers by policy. An instance is made when it is first asked, made anew when its row has another generation, and
/// after it failed (the breaker of the runtime says when that is no use).
pub(crate) struct Policies {
    plugins: Arc<dyn Plugins>,
    rows: HashMap<PolicyId, Policy>,
    rankers: HashMap<PolicyId, Ranker>,
    built_in: Ranker,
}

impl Policies {
    pub(crate) fn new(plugins: Arc<dyn Plugins>) -> Self {
        Self {
            plugins,
            rows: HashMap::new(),
            rankers: HashMap::new(),
            built_in: Ranker::built_in(),
        }
    }

    /// A policy is new or changed. Older generations than what is known are late news.
    pub(crate) fn put(&mut self, policy: Policy) {
        let known = self.rows.get(&policy.id).map(|known| known.generation);
        if known.is_none_or(|known| known < policy.generation) {
            self.rankers.remove(&policy.id);
            self.rows.insert(policy.id, policy);
        }
    }

    /// A policy is gone.
    pub(crate) fn remove(&mut self, id: PolicyId) {
        self.rankers.remove(&id);
        self.rows.remove(&id);
    }

    /// A policy's row.
    pub(crate) fn row(&self, id: Option<PolicyId>) -> Option<&Policy> {
        self.rows.get(&id?)
    }

    /// Takes the ranker of a policy out, to be put back with [`Policies::give`]; none = the built-in one.
    pub(crate) fn take(&mut self, id: Option<PolicyId>) -> Ranker {
        let Some(id) = id else {
            return std::mem::replace(&mut self.built_in, Ranker::built_in());
        };
        match self.rankers.remove(&id) {
            Some(ranker) if !ranker.is_broken() => ranker,
            _ => self.make(id),
        }
    }

    /// Puts a ranker back.
    pub(crate) fn give(&mut self, ranker: Ranker) {
        match ranker.label().policy {
            Some(id) => {
                self.rankers.insert(id, ranker);
            }
            None => self.built_in = ranker,
        }
    }

    fn make(&self, id: PolicyId) -> Ranker {
        let Some(row) = self.rows.get(&id) else {
            // Its row is a RESTRICT reference: it can only be missing while a load is under way.
            let label = PolicyLabel {
                policy: Some(id),
                name: id.to_string(),
                ..PolicyLabel::built_in()
            };
            let failure = PolicyFailure::Unavailable("its row is not loaded yet".into());
            return Ranker::broken(label, failure);
        };
        let label = PolicyLabel {
            policy: Some(id),
            name: row.name.to_string(),
            digest: Some(row.digest.clone()),
            generation: row.generation,
            config: row.config.clone(),
            fallback: row.fallback,
        };
        match self.plugins.policy(&row.digest, &row.config) {
            Ok(policy) => Ranker::of(label, policy),
            Err(refused) => Ranker::broken(label, failure_of(refused)),
        }
    }
}

fn failure_of(refused: PluginRefused) -> PolicyFailure {
    match refused {
        PluginRefused::Configuration { pointer, problem } => {
            PolicyFailure::Configuration(format!("{pointer}: {problem}"))
        }
        other => PolicyFailure::Unavailable(other.to_string()),
    }
}
