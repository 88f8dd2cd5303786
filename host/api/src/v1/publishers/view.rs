//! A publisher and its keys as they are shown.

use velum_model::trust::{Publisher, PublisherKey};
use velum_wire::{PublisherKeyView, PublisherView};

/// A publisher as it is shown.
pub fn view(publisher: &Publisher) -> PublisherView {
    PublisherView {
        id: publisher.id.uuid(),
        name: publisher.name.to_string(),
        description: publisher.description.clone(),
        generation: publisher.generation,
        created_at: publisher.created_at.to_string(),
    }
}

/// A key as it is shown.
pub fn key(key: &PublisherKey) -> PublisherKeyView {
    let revoked = key.revoked.as_ref();
    PublisherKeyView {
        id: key.id.uuid(),
        publisher_id: key.publisher.uuid(),
        key_id: key.key_id.clone(),
        public_key: key.public_key.clone(),
        added_by: key.added_by.clone(),
        created_at: key.created_at.to_string(),
        revoked_at: revoked.map(|revoked| revoked.at.to_string()),
        revoked_by: revoked.map(|revoked| revoked.by.clone()),
        reason: revoked.map(|revoked| revoked.reason.clone()),
    }
}
