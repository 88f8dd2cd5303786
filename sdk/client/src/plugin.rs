//! Installing plugins.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use velum_wire::{InstallPluginBody, PluginView};

use crate::{ANSWER_TIMEOUT, Answered, Client, ClientError, Collection, Plugins, http::Ask};

/// A component is compiled before the answer comes: the largest that a server takes may need minutes.
const COMPILES: u32 = 5;

impl Collection<'_, Plugins> {
    /// Installs a component with the text of its `plugin.toml`; without one, the server derives a manifest from the
    /// component.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem that says what the component imports or lacks.
    pub async fn install(
        &self,
        component: Bytes,
        manifest: Option<&str>,
    ) -> Result<Answered<PluginView>, ClientError> {
        let ask = Ask::post(Self::path(), Client::new_key()).timeout(ANSWER_TIMEOUT * COMPILES);
        let ask = match manifest {
            None => ask.raw("application/wasm", component),
            Some(manifest) => ask.json(&InstallPluginBody {
                component_base64: STANDARD.encode(&component),
                manifest: Some(manifest.to_owned()),
            })?,
        };
        self.answered(&self.client().send(&ask).await?)
    }
}
