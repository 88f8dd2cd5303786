//! `POST /v1/plugins`

use serde_json::json;
use velum_model::{
    grant::{beyond, checked},
    plugin::{Digest, Plugin, PluginUse},
    port::plugins::{Inspected, Installing},
    tenancy::Caller,
    trust::Origin,
};
use velum_store::{Change, Commit, NewEvent};

use super::{NewPlugin, PluginDetail, trust::Offered};
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    write::{administer, lost_a_race, own_event},
};

impl Services {
    /// Installs a component: whose word it is and what it asks for are decided before it is compiled, tried and stored.
    /// Installing the same bytes again answers what is there.
    ///
    /// # Errors
    /// Nobody's word stands for it, it asks for what was not granted, the component is refused, or another one has its
    /// name and version.
    pub async fn plugin_install(
        &self,
        caller: &Caller,
        mut new: NewPlugin,
        keyed: Option<Keyed<PluginDetail>>,
    ) -> Result<Answered<PluginDetail>, ServiceError> {
        administer(caller, "plugin")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let offered = self.opened(&mut new).await?;
        if let Some(known) = self.plugin_of(&offered.digest).await? {
            grants_the_same(&known, new.grant.as_ref())?;
            // The same bytes with another manifest are refused by who keeps them.
            let again = offered.installing(&known);
            self.plugins().install_granted(again).await?;
            return Ok(Answered::Fresh(self.with_use(known).await?));
        }
        // Nothing looks into what nobody vouches for.
        let origin = self.origin_of(caller, offered.signature.clone(), &offered.digest, &new)?;
        let (component, manifest) = (offered.component.clone(), offered.manifest.clone());
        let found = self.plugins().inspect(component, manifest).await?;
        self.name_claimed(&found.manifest, &found.digest, &origin).await?;
        let granted = self
            .granted(&found.manifest, &found.digest, &origin, new.grant.as_ref())
            .await?;
        let plugin = self.plugin_from(found, granted, origin);
        self.plugins()
            .install_granted(offered.installing(&plugin))
            .await?;
        let stored = self.keep_plugin(caller, plugin.clone(), offered, keyed).await;
        if let Err(ServiceError::NameTaken { .. }) = &stored {
            if let Some(same) = self.plugin_of(&plugin.digest).await? {
                // Another server installed the same bytes at the same time.
                return Ok(Answered::Fresh(self.with_use(same).await?));
            }
            // Nothing refers to what was loaded just now; left loaded, it would only take memory.
            let _ = self.plugins().remove(&plugin.digest).await;
            let _ = self.store().forget_component(&plugin.digest).await;
        }
        stored
    }

    fn plugin_from(
        &self,
        found: Inspected,
        grant: velum_model::grant::Capabilities,
        origin: Origin,
    ) -> Plugin {
        Plugin {
            id: self.fresh(),
            digest: found.digest,
            manifest: found.manifest,
            grant,
            origin,
            imports: found.imports,
            exports: found.exports,
            size_bytes: found.size_bytes,
            created_at: self.now(),
        }
    }

    pub(crate) async fn plugin_of(&self, digest: &Digest) -> Result<Option<Plugin>, ServiceError> {
        let plugin = self.read().plugin_by_digest(digest).await;
        plugin.map_err(|error| ServiceError::from_store("look up the plugin", error))
    }

    /// Component and row, with the name as it was read: if another version came meanwhile, it is judged again.
    async fn keep_plugin(
        &self,
        caller: &Caller,
        plugin: Plugin,
        offered: Offered,
        keyed: Option<Keyed<PluginDetail>>,
    ) -> Result<Answered<PluginDetail>, ServiceError> {
        // Before the row: whoever sees that, or restores it, can load it.
        let kept = self
            .store()
            .keep_component(&plugin.digest, offered.component, offered.manifest)
            .await;
        kept.map_err(|error| ServiceError::from_store("keep the component", error))?;
        let told = NewEvent {
            data: told_of(&plugin),
            ..own_event(caller, "plugin.installed", ("plugins", plugin.id.uuid()))
        };
        let mut tries = 0;
        loop {
            let (name, was) = self
                .name_claimed(&plugin.manifest, &plugin.digest, &plugin.origin)
                .await?;
            let commit = Commit {
                changes: vec![
                    Change::InsertPlugin(Box::new(plugin.clone())),
                    Change::ClaimPluginName {
                        plugin: plugin.id,
                        name,
                        was,
                    },
                ],
                events: vec![told.clone()],
                ..Commit::default()
            };
            let detail = PluginDetail {
                plugin: plugin.clone(),
                used: PluginUse::default(),
            };
            let stored = self
                .make("store the plugin", commit, keyed.as_ref(), detail)
                .await;
            if !lost_a_race(&stored, None, &mut tries) {
                return stored;
            }
        }
    }
}

/// What is installed keeps the grant that it came with: operations under way rely on it.
fn grants_the_same(
    known: &Plugin,
    given: Option<&velum_model::grant::Capabilities>,
) -> Result<(), ServiceError> {
    let Some(given) = given else { return Ok(()) };
    // What the configured directory was granted is written as its manifests write it: the same grant may look otherwise.
    let is_same = |given: velum_model::grant::Capabilities| {
        beyond(&given, &known.grant).is_empty() && beyond(&known.grant, &given).is_empty()
    };
    if checked(&known.manifest.capabilities, given).is_ok_and(is_same) {
        return Ok(());
    }
    let problem = format!(
        "{} {} is installed already, with another grant",
        known.manifest.name, known.manifest.version
    );
    let hint = "leave the grant out, or remove the plugin and install it again, or raise its version";
    Err(ServiceError::invalid("/grant", problem, hint))
}

impl Offered {
    fn installing(&self, plugin: &Plugin) -> Installing {
        Installing {
            component: self.component.clone(),
            manifest: self.manifest.clone(),
            grant: Some(plugin.grant.clone()),
        }
    }
}

/// What the event says: enough to see years later on whose word it came in, and what it could do.
fn told_of(plugin: &Plugin) -> serde_json::Value {
    let mut told = json!({
        "name": plugin.manifest.name, "version": plugin.manifest.version, "digest": plugin.digest,
        "origin": plugin.origin.as_str(), "granted": plugin.grant,
    });
    match &plugin.origin {
        Origin::Directory => {}
        Origin::Unsigned { allowed_by } => told["allowed_by"] = json!(allowed_by),
        Origin::Signed(by) => {
            told["publisher"] = json!(by.publisher_name);
            told["key_id"] = json!(by.key_id);
        }
    }
    told
}
