//! Letting machines join.

use velum_wire::{CreateNodeTokenBody, NodeTokenView};

use crate::{Client, ClientError, http::Ask};

impl Client {
    /// Makes a token that one machine can join the cloud with, good for so many seconds (an hour unless said). It is
    /// answered this once.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn node_token(&self, valid_s: Option<u32>) -> Result<NodeTokenView, ClientError> {
        let ask = Ask::post("/v1/node-tokens", Self::new_key()).json(&CreateNodeTokenBody { valid_s })?;
        self.send(&ask).await?.json()
    }
}
