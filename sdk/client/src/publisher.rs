//! The keys of publishers.

use uuid::Uuid;
use velum_wire::{AddPublisherKeyBody, Page, PublisherKeyView, RevokePublisherKeyBody};

use crate::{Client, ClientError, Collection, Publishers, http::Ask};

impl Collection<'_, Publishers> {
    /// The keys of a publisher, oldest first, revoked ones too.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn keys(&self, id: Uuid) -> Result<Vec<PublisherKeyView>, ClientError> {
        let page: Page<PublisherKeyView> = self.client().send(&Ask::get(Self::keys_of(id))).await?.json()?;
        Ok(page.items)
    }

    /// Adds a key (PEM): what is signed with it is trusted as the publisher's.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when it is no ed25519 public key, or known already.
    pub async fn add_key(&self, id: Uuid, public_key: String) -> Result<PublisherKeyView, ClientError> {
        let body = AddPublisherKeyBody { public_key };
        let ask = Ask::post(Self::keys_of(id), Client::new_key()).json(&body)?;
        self.client().send(&ask).await?.json()
    }

    /// Revokes a key, named by what signatures call it or by its id.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when the publisher has no such key, or it was revoked already.
    pub async fn revoke_key(
        &self,
        id: Uuid,
        key_id: String,
        reason: String,
    ) -> Result<PublisherKeyView, ClientError> {
        let body = RevokePublisherKeyBody { key_id, reason };
        let ask = Ask::post(format!("{}/revoke", Self::keys_of(id)), Client::new_key()).json(&body)?;
        self.client().send(&ask).await?.json()
    }

    fn keys_of(id: Uuid) -> String {
        format!("{}/keys", Self::path_of(id))
    }
}
