//! `PATCH /v1/policies/{id}`

use velum_model::{
    PolicyId,
    plugin::{Policy, PolicyCause},
    tenancy::Caller,
};

use super::{ChangePolicy, check_name};
use crate::{
    compute_hosts::object,
    error::ServiceError,
    services::Services,
    write::{expect, lost_a_race},
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
        let was = (policy.digest.clone(), policy.config.clone());
        if let Some(name) = &change.name {
            check_name(name)?;
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
        if (&policy.digest, &policy.config) != (&was.0, &was.1) {
            policy.since = self.now();
            policy.cause = PolicyCause::Changed;
        }
        let mut changed = policy.clone();
        changed.generation += 1;
        let by = (caller.name.as_str(), None);
        self.put_version(by, policy, (String::new(), "policy.changed"), Vec::new())
            .await?;
        Ok(changed)
    }
}
