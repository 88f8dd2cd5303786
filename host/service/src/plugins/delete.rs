//! `DELETE /v1/plugins/{id}`

use serde_json::json;
use velum_model::{
    PluginId,
    page::Page,
    plugin::Digest,
    tenancy::{BUILT_IN_PROJECT, Caller},
};
use velum_store::{PolicyFilter, Table};

use crate::{error::ServiceError, services::Services, write::Removal};

/// Generations of what has any begin at 1.
const NO_GENERATION: u64 = 0;

impl Services {
    /// Removes a plugin that no policy, compute host or pool uses. A plugin never changes: it has no generation that
    /// could be expected.
    ///
    /// # Errors
    /// It does not exist, a generation is expected, or something uses it.
    pub async fn plugin_delete(
        &self,
        caller: &Caller,
        id: PluginId,
        expected: Option<u64>,
    ) -> Result<(), ServiceError> {
        let plugin = self.plugin_get(caller, id).await?;
        let with_it = PolicyFilter {
            digest: Some(plugin.digest.clone()),
            ..PolicyFilter::default()
        };
        let policies = self.policy_list(caller, &with_it, Page::default()).await?;
        if let Some(policy) = policies.items.first() {
            return Err(ServiceError::InUse {
                what: "plugin",
                id: id.uuid(),
                by: format!("the policy {}", policy.name),
            });
        }
        self.ensure_nobody_may_go_back(&plugin.digest).await?;
        let removal = Removal {
            what: "plugin",
            table: Table::Plugin,
            collection: "plugins",
            id: id.uuid(),
            generation: NO_GENERATION,
            project: BUILT_IN_PROJECT,
            shard: None,
        };
        // Other servers let go of it when they hear of it.
        let data = json!({ "digest": plugin.digest });
        self.remove_telling(caller, expected, removal, data).await?;
        self.plugins().remove(&plugin.digest).await?;
        let forgotten = self.store().forget_component(&plugin.digest).await;
        forgotten.map_err(|error| ServiceError::from_store("forget the component", error))
    }

    /// A version that a policy on probation may be put back to stays until it is over.
    async fn ensure_nobody_may_go_back(&self, digest: &Digest) -> Result<(), ServiceError> {
        let failed = |error| ServiceError::from_store("look who may go back to the plugin", error);
        let all = Page {
            limit: Page::MAX_LIMIT,
            after: None,
        };
        let policies = self.read().policies(&PolicyFilter::default(), all).await;
        for policy in policies.map_err(failed)?.items {
            let ends = policy.since.plus_millis(self.settings().probation.for_ms);
            if !policy.cause.is_on_probation() || self.now() >= ends {
                continue;
            }
            let versions = self.read().policy_versions(policy.id).await.map_err(failed)?;
            let back = versions.iter().find(|version| {
                version.generation < policy.generation
                    && (version.digest != policy.digest || version.config != policy.config)
            });
            if back.is_some_and(|back| back.digest == *digest) {
                return Err(ServiceError::InvalidState {
                    what: "plugin",
                    id: policy.id.uuid(),
                    problem: format!(
                        "the policy {} is on probation until {ends} and may be put back to it: remove it after that",
                        policy.name
                    ),
                });
            }
        }
        Ok(())
    }
}
