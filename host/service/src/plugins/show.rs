//! `GET /v1/plugins`, `GET /v1/plugins/{id}`, `GET /v1/plugins/{id}/stats`

use velum_model::{
    PluginId,
    page::{Page, Paged},
    plugin::{Digest, Plugin},
    port::plugins::PluginStats,
    tenancy::Caller,
};
use velum_store::PluginFilter;

use super::PluginDetail;
use crate::{error::ServiceError, services::Services};

impl Services {
    /// A plugin with what uses it.
    ///
    /// # Errors
    /// It does not exist, or the database failed.
    pub async fn plugin_detail(&self, caller: &Caller, id: PluginId) -> Result<PluginDetail, ServiceError> {
        let plugin = self.plugin_get(caller, id).await?;
        self.with_use(plugin).await
    }

    /// Plugins that match, each with what uses it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn plugin_details(
        &self,
        caller: &Caller,
        filter: &PluginFilter,
        page: Page,
    ) -> Result<Paged<PluginDetail>, ServiceError> {
        let plugins = self.plugin_list(caller, filter, page).await?;
        let digests: Vec<Digest> = plugins.items.iter().map(|plugin| plugin.digest.clone()).collect();
        let uses = self.read().plugin_uses(&digests).await;
        let mut uses = uses.map_err(|error| ServiceError::from_store("count what uses plugins", error))?;
        Ok(plugins.map(|plugin| PluginDetail {
            used: uses.remove(&plugin.digest).unwrap_or_default(),
            plugin,
        }))
    }

    pub(super) async fn with_use(&self, plugin: Plugin) -> Result<PluginDetail, ServiceError> {
        let uses = self
            .read()
            .plugin_uses(std::slice::from_ref(&plugin.digest))
            .await;
        let mut uses = uses.map_err(|error| ServiceError::from_store("count what uses the plugin", error))?;
        let used = uses.remove(&plugin.digest).unwrap_or_default();
        Ok(PluginDetail { plugin, used })
    }

    /// What a plugin did on this server since it started; none when it is not loaded here.
    ///
    /// # Errors
    /// It does not exist, or the database failed.
    pub async fn plugin_stats_of(
        &self,
        caller: &Caller,
        id: PluginId,
    ) -> Result<(Plugin, Option<PluginStats>), ServiceError> {
        let plugin = self.plugin_get(caller, id).await?;
        let stats = self.plugin_stats();
        let of_it = stats.into_iter().find(|stats| stats.digest == plugin.digest);
        Ok((plugin, of_it))
    }
}
