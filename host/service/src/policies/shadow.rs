//! `POST`, `GET` and `DELETE /v1/policies/{id}/shadow`, `POST /v1/policies/{id}/promote`: a component that sees a policy's
//! asks, whose answers are counted and not used.

use serde_json::{Value, json};
use velum_model::{
    PolicyId,
    id::ShadowId,
    plugin::{Policy, PolicyCause, PolicyShadow},
    port::placement::registry,
    shadow::ShadowCounts,
    tenancy::Caller,
};
use velum_store::{Change, Commit, NewEvent, StoreError};

use super::{NewShadow, PluginChoice, ShadowReport};
use crate::{
    compute_hosts::object,
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    write::{administer, expect, lost_a_race, own_event},
};

impl Services {
    /// Begins a shadow: it sees what the policy is asked from now on, on every server.
    ///
    /// # Errors
    /// The policy does not exist, ranks no compute hosts or has a shadow, the plugin is not installed or no policy for
    /// compute hosts, the configuration does not fit.
    pub async fn policy_shadow_begin(
        &self,
        caller: &Caller,
        id: PolicyId,
        new: NewShadow,
        keyed: Option<Keyed<PolicyShadow>>,
    ) -> Result<Answered<PolicyShadow>, ServiceError> {
        let policy = self.policy_get(caller, id).await?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        if let Some(known) = self.shadow_row(id).await? {
            return Err(ServiceError::InvalidState {
                what: "policy",
                id: id.uuid(),
                problem: format!(
                    "the policy {} has a shadow since {}: promote or end that first",
                    policy.name, known.started_at
                ),
            });
        }
        let choice = new.plugin.unwrap_or(PluginChoice::Digest(policy.digest.clone()));
        let digest = self.policy_plugin(&choice).await?;
        let config = new.config.map_or_else(|| policy.config.clone(), object);
        self.check_policy(&digest, &config).await?;
        for (of, ranks) in [
            (
                "the policy",
                self.try_policy(policy.digest.clone(), policy.config.clone()),
            ),
            ("the plugin", self.try_policy(digest.clone(), config.clone())),
        ] {
            if ranks.await? != registry::ROW_COMPUTE_HOST {
                return Err(ServiceError::invalid(
                    "/plugin",
                    format!("{of} does not rank compute hosts"),
                    "shadows are shown placements on compute hosts alone: change a policy for pools at once, it can be \
                     rolled back",
                ));
            }
        }
        let shadow = PolicyShadow {
            id: self.fresh(),
            policy: id,
            digest,
            config,
            caller: caller.name.clone(),
            started_at: self.now(),
        };
        let told = NewEvent {
            data: json!({ "shadow": shadow.id, "digest": shadow.digest, "config": shadow.config }),
            ..own_event(caller, "policy.shadow-began", ("policies", id.uuid()))
        };
        let commit = Commit {
            changes: vec![Change::BeginShadow(Box::new(shadow.clone()))],
            events: vec![told],
            ..Commit::default()
        };
        self.make("begin the shadow", commit, keyed.as_ref(), shadow)
            .await
    }

    /// What was seen of a policy's shadow so far: on this server up to now, on others up to a few seconds ago.
    ///
    /// # Errors
    /// The policy does not exist or has no shadow.
    pub async fn policy_shadow(&self, caller: &Caller, id: PolicyId) -> Result<ShadowReport, ServiceError> {
        let policy = self.policy_get(caller, id).await?;
        let shadow = self.shadow_there(&policy).await?;
        self.keep_shadow_counts().await?;
        let counts = self.shadow_counts(shadow.id).await?;
        Ok(ShadowReport { shadow, counts })
    }

    /// Ends a shadow; its counts go with it.
    ///
    /// # Errors
    /// The policy does not exist or has no shadow.
    pub async fn policy_shadow_end(&self, caller: &Caller, id: PolicyId) -> Result<(), ServiceError> {
        let policy = self.policy_get(caller, id).await?;
        let shadow = self.shadow_there(&policy).await?;
        let told = NewEvent {
            data: json!({ "shadow": shadow.id, "digest": shadow.digest }),
            ..own_event(caller, "policy.shadow-ended", ("policies", id.uuid()))
        };
        let commit = Commit {
            changes: vec![Change::EndShadow {
                policy: id,
                id: shadow.id,
            }],
            events: vec![told],
            ..Commit::default()
        };
        self.commit("end the shadow", commit).await
    }

    /// Makes the shadow the policy: the next ask is decided by it. What the policy was is kept as its history.
    ///
    /// # Errors
    /// The policy does not exist or has no shadow, the shadow's key was revoked, `expected` is not the generation.
    pub async fn policy_promote(
        &self,
        caller: &Caller,
        id: PolicyId,
        expected: Option<u64>,
        keyed: Option<Keyed<Policy>>,
    ) -> Result<Answered<Policy>, ServiceError> {
        administer(caller, "policy")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let mut tries = 0;
        loop {
            let promoted = self
                .policy_promote_once((caller, keyed.as_ref()), id, expected)
                .await;
            if !lost_a_race(&promoted, expected, &mut tries) {
                return promoted;
            }
        }
    }

    async fn policy_promote_once(
        &self,
        (caller, keyed): (&Caller, Option<&Keyed<Policy>>),
        id: PolicyId,
        expected: Option<u64>,
    ) -> Result<Answered<Policy>, ServiceError> {
        let mut policy = self.policy_get(caller, id).await?;
        expect("policy", id.uuid(), expected, policy.generation)?;
        let shadow = self.shadow_there(&policy).await?;
        if let Some(plugin) = self.plugin_of_policy(&shadow.digest).await? {
            self.ensure_activatable(&plugin)?;
        }
        self.keep_shadow_counts().await?;
        let counts = self.shadow_counts(shadow.id).await?;
        policy.digest = shadow.digest.clone();
        policy.config = shadow.config.clone();
        policy.since = self.now();
        policy.cause = PolicyCause::Promoted;
        let reason = format!(
            "promoted after {} asks: the same compute host in {} of {}, {} failures",
            counts.asks,
            counts.same_winner,
            counts.compared,
            counts.failures()
        );
        let ended = Change::EndShadow {
            policy: id,
            id: shadow.id,
        };
        let by = (caller.name.as_str(), keyed);
        self.put_version(by, policy, (reason, "policy.promoted"), vec![ended])
            .await
    }

    async fn shadow_row(&self, policy: PolicyId) -> Result<Option<PolicyShadow>, ServiceError> {
        let shadow = self.read().shadow_of(policy).await;
        shadow.map_err(|error| ServiceError::from_store("read the shadow", error))
    }

    async fn shadow_there(&self, policy: &Policy) -> Result<PolicyShadow, ServiceError> {
        let shadow = self.shadow_row(policy.id).await?;
        shadow.ok_or_else(|| ServiceError::InvalidState {
            what: "policy",
            id: policy.id.uuid(),
            problem: format!("the policy {} has no shadow: begin one first", policy.name),
        })
    }

    async fn shadow_counts(&self, shadow: ShadowId) -> Result<ShadowCounts, ServiceError> {
        let parts = self.read().shadow_counts(shadow).await;
        let parts =
            parts.map_err(|error| ServiceError::from_store("read what the shadow was counted", error))?;
        let mut sum = ShadowCounts::default();
        for (_, counts) in parts {
            // What a later version wrote and this one does not read counts nothing.
            sum.add(&serde_json::from_value(counts).unwrap_or_default());
        }
        Ok(sum)
    }

    /// Keeps what this server counted since it kept it last.
    pub(crate) async fn keep_shadow_counts(&self) -> Result<(), ServiceError> {
        for (shadow, counts) in self.desk().unkept() {
            let commit = Commit {
                changes: vec![Change::CountShadow {
                    shadow,
                    run: self.desk().run(),
                    counts: serde_json::to_value(&counts).unwrap_or(Value::Null),
                }],
                ..Commit::default()
            };
            let kept: Result<_, StoreError> = self.store().commit(commit).await;
            if let Err(error) = kept {
                self.desk().keep_again(shadow);
                return Err(ServiceError::from_store(
                    "keep what the shadow was counted",
                    error,
                ));
            }
        }
        Ok(())
    }
}
