//! `GET /v1/policies/{id}/versions`, `POST /v1/policies/{id}/rollback`, and what the server takes back by itself.

use serde_json::json;
use velum_model::{
    PolicyId,
    plugin::{Digest, Plugin, Policy, PolicyCause, PolicyVersion},
    tenancy::Caller,
};
use velum_store::{Change, Commit, NewEvent};

use crate::{
    error::ServiceError,
    operations::readable,
    planner::Misfit,
    request::{Answered, Keyed},
    services::Services,
    write::{administer, expect, lost_a_race, own_event},
};

/// Who does what nobody asked for.
const SERVER: &str = "velumd";

impl Services {
    /// The generations of a policy that are remembered, newest first.
    ///
    /// # Errors
    /// It does not exist, or the database failed.
    pub async fn policy_versions(
        &self,
        caller: &Caller,
        id: PolicyId,
    ) -> Result<Vec<PolicyVersion>, ServiceError> {
        self.policy_get(caller, id).await?;
        self.versions_of_policy(id).await
    }

    async fn versions_of_policy(&self, id: PolicyId) -> Result<Vec<PolicyVersion>, ServiceError> {
        let versions = self.read().policy_versions(id).await;
        versions.map_err(|error| ServiceError::from_store("read the policy's versions", error))
    }

    /// Puts an earlier version of a policy back, component and configuration: the one named, or the last one that was
    /// another. It becomes a new generation.
    ///
    /// # Errors
    /// The policy does not exist, has no such version, its component is gone or its key revoked, `expected` is not the
    /// generation.
    pub async fn policy_rollback(
        &self,
        caller: &Caller,
        id: PolicyId,
        expected: Option<u64>,
        (to, reason): (Option<u64>, String),
        keyed: Option<Keyed<Policy>>,
    ) -> Result<Answered<Policy>, ServiceError> {
        administer(caller, "policy")?;
        let reason = readable(reason)?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let mut tries = 0;
        loop {
            let rolled = self
                .policy_rollback_once((caller, keyed.as_ref()), id, expected, (to, &reason))
                .await;
            if !lost_a_race(&rolled, expected, &mut tries) {
                return rolled;
            }
        }
    }

    async fn policy_rollback_once(
        &self,
        (caller, keyed): (&Caller, Option<&Keyed<Policy>>),
        id: PolicyId,
        expected: Option<u64>,
        (to, reason): (Option<u64>, &str),
    ) -> Result<Answered<Policy>, ServiceError> {
        let policy = self.policy_get(caller, id).await?;
        expect("policy", id.uuid(), expected, policy.generation)?;
        let versions = self.versions_of_policy(id).await?;
        let back = match to {
            Some(generation) => versions.iter().find(|version| version.generation == generation),
            None => before(&policy, &versions),
        };
        let back = back.ok_or_else(|| {
            let problem = match to {
                Some(generation) => format!("generation {generation} is not remembered"),
                None => format!("the policy {} was never made of anything else", policy.name),
            };
            let hint = "list its versions and name the generation of one";
            ServiceError::invalid("/generation", problem, hint)
        })?;
        let by = (caller.name.as_str(), keyed);
        self.back_to(by, policy, back, (PolicyCause::RolledBack, reason))
            .await
    }

    /// Makes a policy again what it was.
    async fn back_to(
        &self,
        by: (&str, Option<&Keyed<Policy>>),
        mut policy: Policy,
        back: &PolicyVersion,
        (cause, reason): (PolicyCause, &str),
    ) -> Result<Answered<Policy>, ServiceError> {
        let plugin = self.plugin_of_policy(&back.digest).await?.ok_or_else(|| {
            let problem = format!(
                "the component of generation {}, {}, is not installed any more",
                back.generation, back.digest
            );
            ServiceError::invalid(
                "/generation",
                problem,
                "install it again, or name another generation",
            )
        })?;
        self.ensure_activatable(&plugin)?;
        self.check_policy(&back.digest, &back.config).await?;
        policy.digest = back.digest.clone();
        policy.config = back.config.clone();
        policy.since = self.now();
        policy.cause = cause;
        let words = match reason {
            "" => format!("back to generation {}", back.generation),
            reason => format!("back to generation {}: {reason}", back.generation),
        };
        self.put_version(by, policy, (words, "policy.rolled-back"), Vec::new())
            .await
    }

    /// Commits a policy as it is to be from now on, as its next generation.
    pub(super) async fn put_version(
        &self,
        (by, keyed): (&str, Option<&Keyed<Policy>>),
        mut policy: Policy,
        (reason, event): (String, &'static str),
        more: Vec<Change>,
    ) -> Result<Answered<Policy>, ServiceError> {
        let next = policy.generation + 1;
        let told = NewEvent {
            caller: by.to_owned(),
            data: json!({
                "generation": next, "digest": policy.digest, "cause": policy.cause, "reason": reason,
            }),
            ..own_event(&nobody(), event, ("policies", policy.id.uuid()))
        };
        let mut changes = vec![
            Change::UpdatePolicy(policy.clone()),
            Change::InsertPolicyVersion(Box::new(PolicyVersion {
                generation: next,
                ..version_of(&policy, reason, by, self.now())
            })),
        ];
        changes.extend(more);
        let commit = Commit {
            changes,
            events: vec![told],
            ..Commit::default()
        };
        policy.generation = next;
        self.make("change the policy", commit, keyed, policy).await
    }

    /// Takes a version back that did not do, if the policy is still what was seen to fail. Whoever else saw it is late.
    pub(crate) async fn take_back(&self, misfit: &Misfit) -> Result<(), ServiceError> {
        let policy = self.read().policy(misfit.policy).await;
        let policy = policy.map_err(|error| ServiceError::from_store("read the policy", error))?;
        let Some(policy) = policy.filter(|policy| policy.generation == misfit.generation) else {
            return Ok(());
        };
        let versions = self.versions_of_policy(policy.id).await?;
        let Some(back) = before(&policy, &versions) else {
            tracing::warn!(policy = %policy.name, why = misfit.words, "there is no version to go back to");
            return Ok(());
        };
        tracing::warn!(
            policy = %policy.name,
            generation = policy.generation,
            digest = %policy.digest,
            back_to = back.generation,
            why = misfit.words,
            "a policy's new version does not do: the one before takes its place again"
        );
        let reason = format!("generation {} {}", policy.generation, misfit.words);
        let back = self
            .back_to(
                (SERVER, None),
                policy,
                back,
                (PolicyCause::RolledBackByServer, &reason),
            )
            .await;
        match back {
            Ok(_) => Ok(()),
            // Another server, or an operator, was faster.
            Err(ServiceError::Stale { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn plugin_of_policy(&self, digest: &Digest) -> Result<Option<Plugin>, ServiceError> {
        let plugin = self.read().plugin_by_digest(digest).await;
        plugin.map_err(|error| ServiceError::from_store("look up the plugin", error))
    }
}

/// The last version that was made of something else.
fn before<'v>(policy: &Policy, versions: &'v [PolicyVersion]) -> Option<&'v PolicyVersion> {
    versions.iter().find(|version| {
        version.generation < policy.generation
            && (version.digest != policy.digest || version.config != policy.config)
    })
}

/// A policy as a version of itself.
pub(super) fn version_of(
    policy: &Policy,
    reason: String,
    by: &str,
    at: velum_model::Timestamp,
) -> PolicyVersion {
    PolicyVersion {
        policy: policy.id,
        generation: policy.generation,
        digest: policy.digest.clone(),
        config: policy.config.clone(),
        fallback: policy.fallback,
        cause: policy.cause,
        reason,
        caller: by.to_owned(),
        created_at: at,
    }
}

/// The event's caller is put in by who makes it.
fn nobody() -> Caller {
    Caller {
        token: velum_model::Id::from_uuid(uuid::Uuid::nil()),
        name: String::new(),
        scope: velum_model::tenancy::Scope::All,
    }
}
