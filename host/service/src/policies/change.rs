//! `PATCH /v1/policies/{id}`

use velum_model::{PolicyId, plugin::Policy, tenancy::Caller};
use velum_store::{Change, Commit};

use super::ChangePolicy;
use crate::{
    compute_hosts::object,
    error::ServiceError,
    services::Services,
    write::{expect, lost_a_race, own_event},
};

impl Services {
    /// Changes a policy. Every planner uses the new generation from its next ask on; none is interrupted.
    ///
    /// # Errors
    /// It does not exist, component or configuration do not fit, the name is taken, `expected` is not its generation.
    pub async fn policy_change(
        &self,
        caller: &Caller,
        id: PolicyId,
        expected: Option<u64>,
        change: ChangePolicy,
    ) -> Result<Policy, ServiceError> {
        let mut tries = 0;
        loop {
            let changed = self.policy_change_once(caller, id, expected, &change).await;
            if !lost_a_race(&changed, expected, &mut tries) {
                return changed;
            }
        }
    }

    async fn policy_change_once(
        &self,
        caller: &Caller,
        id: PolicyId,
        expected: Option<u64>,
        change: &ChangePolicy,
    ) -> Result<Policy, ServiceError> {
        let mut policy = self.policy_get(caller, id).await?;
        expect("policy", id.uuid(), expected, policy.generation)?;
        if let Some(name) = &change.name {
            policy.name = name.clone();
        }
        if let Some(plugin) = &change.plugin {
            policy.digest = self.policy_plugin(plugin).await?;
        }
        if let Some(config) = &change.config {
            policy.config = object(config.clone());
        }
        if change.plugin.is_some() || change.config.is_some() {
            self.check_policy(&policy.digest, &policy.config).await?;
        }
        policy.fallback = change.fallback.unwrap_or(policy.fallback);
        let commit = Commit {
            changes: vec![Change::UpdatePolicy(policy.clone())],
            events: vec![own_event(caller, "policy.changed", ("policies", id.uuid()))],
            ..Commit::default()
        };
        self.commit("change the policy", commit).await?;
        policy.generation += 1;
        Ok(policy)
    }
}
