//! `POST /v1/plugins`

use velum_model::{plugin::Plugin, tenancy::Caller};
use velum_store::{Change, Commit};

use super::NewPlugin;
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    write::{administer, own_event},
};

impl Services {
    /// Installs a component: validated, compiled and tried before it is stored. Installing the same bytes again
    /// answers what is there.
    ///
    /// # Errors
    /// The component is refused, or another one has its name and version.
    pub async fn plugin_install(
        &self,
        caller: &Caller,
        new: NewPlugin,
        keyed: Option<Keyed<Plugin>>,
    ) -> Result<Answered<Plugin>, ServiceError> {
        administer(caller, "plugin")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let (component, manifest) = (new.component.clone(), new.manifest.clone());
        let found = self.plugins().install(new.component, new.manifest).await?;
        let known = self.read().plugin_by_digest(&found.digest).await;
        if let Some(plugin) = known.map_err(|error| ServiceError::from_store("look up the plugin", error))? {
            return Ok(Answered::Fresh(plugin));
        }
        let plugin = Plugin {
            id: self.fresh(),
            digest: found.digest,
            manifest: found.manifest,
            imports: found.imports,
            exports: found.exports,
            size_bytes: found.size_bytes,
            created_at: self.now(),
        };
        // Before the row: whoever sees that, or restores it, can load it.
        let kept = self
            .store()
            .keep_component(&plugin.digest, component, manifest)
            .await;
        kept.map_err(|error| ServiceError::from_store("keep the component", error))?;
        let commit = Commit {
            changes: vec![Change::InsertPlugin(plugin.clone())],
            events: vec![own_event(
                caller,
                "plugin.installed",
                ("plugins", plugin.id.uuid()),
            )],
            ..Commit::default()
        };
        let digest = plugin.digest.clone();
        let stored = self
            .make("store the plugin", commit, keyed.as_ref(), plugin)
            .await;
        if let Err(ServiceError::NameTaken { .. }) = &stored {
            let same = self.read().plugin_by_digest(&digest).await;
            if let Some(plugin) =
                same.map_err(|error| ServiceError::from_store("look up the plugin", error))?
            {
                // Another server installed the same bytes at the same time.
                return Ok(Answered::Fresh(plugin));
            }
            // Nothing refers to what was loaded just now; left loaded, it would only take memory.
            let _ = self.plugins().remove(&digest).await;
            let _ = self.store().forget_component(&digest).await;
        }
        stored
    }
}
