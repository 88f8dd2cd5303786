//! Components are in the database, so that every server and every backup has them: one that is not on this server's shelf is
//! fetched from there.

use velum_model::{
    plugin::{Digest, Plugin},
    port::plugins::{Installing, PluginRefused, Plugins},
};
use velum_store::Store;

use crate::{error::ServiceError, services::Services};

/// Loads a plugin that has a row, from this server's own shelf or from the database, under what was granted. What only this
/// server has, because an earlier version installed it, is put there.
///
/// # Errors
/// The component is nowhere, or this server cannot run it.
pub async fn load_plugin(store: &Store, plugins: &dyn Plugins, plugin: &Plugin) -> Result<(), PluginRefused> {
    let failed = |error: velum_store::StoreError| PluginRefused::Server(error.to_string());
    let digest = &plugin.digest;
    match plugins.load_granted(digest, Some(plugin.grant.clone())).await {
        Ok(_) => {
            if !store.has_component(digest).await.map_err(failed)? {
                let (component, manifest) = plugins.component(digest).await?;
                store
                    .keep_component(digest, component, manifest)
                    .await
                    .map_err(failed)?;
            }
            Ok(())
        }
        Err(PluginRefused::NotLoaded(_)) => {
            let kept = store.component(digest).await.map_err(failed)?;
            let (component, manifest) = kept.ok_or_else(|| PluginRefused::NotLoaded(digest.clone()))?;
            let installing = Installing {
                component,
                manifest,
                grant: Some(plugin.grant.clone()),
            };
            plugins.install_granted(installing).await.map(drop)
        }
        Err(refused) => Err(refused),
    }
}

impl Services {
    /// Makes sure that a plugin that has a row is loaded here: another server may have installed it just now.
    pub(crate) async fn plugin_ready(&self, digest: &Digest) -> Result<(), ServiceError> {
        if !self.store().is_shared() {
            return Ok(());
        }
        let plugin = self.plugin_of(digest).await?;
        let plugin = plugin.ok_or_else(|| PluginRefused::NotLoaded(digest.clone()))?;
        load_plugin(self.store(), self.plugins().as_ref(), &plugin).await?;
        Ok(())
    }
}
