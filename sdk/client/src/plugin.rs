//! Installing plugins, and putting their versions to work.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use uuid::Uuid;
use velum_wire::{
    ActivatePluginBody, ActivationView, InstallPluginBody, PluginStatsView, PluginView, RollbackPluginBody,
};

use crate::{ANSWER_TIMEOUT, Answered, Client, ClientError, Collection, Plugins, http::Ask};

/// A component is compiled before the answer comes: the largest that a server takes may need minutes.
const COMPILES: u32 = 5;

impl Collection<'_, Plugins> {
    /// Installs a component with the text of its `plugin.toml`; without one, the server derives a manifest from the
    /// component. For servers that take what nobody signed.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem that says what the component imports, lacks or asks for.
    pub async fn install(
        &self,
        component: Bytes,
        manifest: Option<&str>,
    ) -> Result<Answered<PluginView>, ClientError> {
        let ask = Ask::post(Self::path(), Client::new_key()).timeout(ANSWER_TIMEOUT * COMPILES);
        let ask = match manifest {
            None => ask.raw("application/wasm", component),
            Some(manifest) => ask.json(&InstallPluginBody {
                component_base64: Some(STANDARD.encode(&component)),
                manifest: Some(manifest.to_owned()),
                ..InstallPluginBody::default()
            })?,
        };
        self.answered(&self.client().send(&ask).await?)
    }

    /// Installs a component or a bundle as the body says: what of it is granted, and whether it may be unsigned.
    ///
    /// # Errors
    /// As [`Collection::install`]; the problem `plugin-untrusted` when nobody's word stands for it, and `grant-needed`,
    /// which has all that would be granted, when it asks for something that nobody granted.
    pub async fn install_as(&self, body: &InstallPluginBody) -> Result<Answered<PluginView>, ClientError> {
        let ask = Ask::post(Self::path(), Client::new_key())
            .timeout(ANSWER_TIMEOUT * COMPILES)
            .json(body)?;
        self.answered(&self.client().send(&ask).await?)
    }

    /// Makes a version of a driver or provider the one that a zone works with.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem that names what does not fit.
    pub async fn activate(&self, id: Uuid, body: &ActivatePluginBody) -> Result<ActivationView, ClientError> {
        let ask = Ask::post(format!("{}/activate", Self::path_of(id)), Client::new_key()).json(body)?;
        self.client().send(&ask).await?.json()
    }

    /// Puts the version back that was active in a zone before this one.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when it is not active there, or nothing was before.
    pub async fn rollback(&self, id: Uuid, zone: Uuid) -> Result<ActivationView, ClientError> {
        let body = RollbackPluginBody { zone_id: zone };
        let ask = Ask::post(format!("{}/rollback", Self::path_of(id)), Client::new_key()).json(&body)?;
        self.client().send(&ask).await?.json()
    }

    /// What a plugin did on the server that answers.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn stats(&self, id: Uuid) -> Result<PluginStatsView, ClientError> {
        let ask = Ask::get(format!("{}/stats", Self::path_of(id)));
        self.client().send(&ask).await?.json()
    }
}
