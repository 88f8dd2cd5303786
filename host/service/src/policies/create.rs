//! `POST /v1/policies`

use serde_json::Value;
use velum_model::{
    plugin::{Digest, Policy, PolicyCause, World},
    port::plugins::ConfigPart,
    tenancy::Caller,
};
use velum_store::{Change, Commit};

use super::{NewPolicy, PluginChoice, check_name, versions::version_of};
use crate::{
    compute_hosts::object,
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    targets::refused_config,
    write::{administer, own_event},
};

impl Services {
    /// Makes a policy; component and configuration are tried once before.
    ///
    /// # Errors
    /// The plugin is not installed or no policy, the configuration does not fit, the name is taken.
    pub async fn policy_create(
        &self,
        caller: &Caller,
        new: NewPolicy,
        keyed: Option<Keyed<Policy>>,
    ) -> Result<Answered<Policy>, ServiceError> {
        administer(caller, "policy")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        check_name(&new.name)?;
        let digest = self.policy_plugin(&new.plugin).await?;
        let config = object(new.config);
        self.check_policy(&digest, &config).await?;
        let now = self.now();
        let policy = Policy {
            id: self.fresh(),
            name: new.name,
            digest,
            config,
            fallback: new.fallback,
            generation: 1,
            since: now,
            cause: PolicyCause::Created,
            created_at: now,
        };
        let version = version_of(&policy, String::new(), &caller.name, now);
        let commit = Commit {
            changes: vec![
                Change::InsertPolicy(policy.clone()),
                Change::InsertPolicyVersion(Box::new(version)),
            ],
            events: vec![own_event(
                caller,
                "policy.created",
                ("policies", policy.id.uuid()),
            )],
            ..Commit::default()
        };
        self.make("store the policy", commit, keyed.as_ref(), policy)
            .await
    }

    /// The component that is meant, which must be a placement policy.
    pub(crate) async fn policy_plugin(&self, choice: &PluginChoice) -> Result<Digest, ServiceError> {
        match choice {
            PluginChoice::Newest(name) => {
                let plugin = self
                    .newest_plugin(name, World::PlacementPolicy, "/plugin")
                    .await?;
                self.ensure_activatable(&plugin)?;
                Ok(plugin.digest)
            }
            PluginChoice::Digest(digest) => {
                let plugin = self.read().plugin_by_digest(digest).await;
                let plugin = plugin.map_err(|error| ServiceError::from_store("look up the plugin", error))?;
                if let Some(plugin) = &plugin {
                    self.ensure_activatable(plugin)?;
                }
                match plugin.map(|plugin| plugin.manifest.world) {
                    Some(World::PlacementPolicy) => Ok(digest.clone()),
                    Some(world) => Err(ServiceError::invalid(
                        "/digest",
                        format!("{digest} is a {world}"),
                        "name a component of the world placement-policy",
                    )),
                    None => Err(ServiceError::invalid(
                        "/digest",
                        format!("no plugin with the digest {digest} is installed"),
                        "install it with POST /v1/plugins first",
                    )),
                }
            }
        }
    }

    /// The configuration against the schema, then against the component itself.
    pub(crate) async fn check_policy(&self, digest: &Digest, config: &Value) -> Result<(), ServiceError> {
        self.plugin_ready(digest).await?;
        let checked = self.plugins().check_config(digest, ConfigPart::Policy, config);
        checked.map_err(refused_config)?;
        self.try_policy(digest.clone(), config.clone()).await.map(drop)
    }
}
