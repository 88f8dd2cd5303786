//! An image store as it is shown.

use velum_model::infrastructure::{ImageStore, ImageStorePlace};
use velum_wire::{ImageStoreKind, ImageStoreView};

/// An image store as it is shown.
pub fn view(store: &ImageStore) -> ImageStoreView {
    let (kind, node, directory, endpoint) = match &store.place {
        ImageStorePlace::Directory { node, directory } => (
            ImageStoreKind::Directory,
            Some(node.clone()),
            Some(directory.clone()),
            None,
        ),
        ImageStorePlace::Http { endpoint } => (ImageStoreKind::Http, None, None, Some(endpoint.clone())),
    };
    ImageStoreView {
        id: store.id.uuid(),
        zone_id: store.zone.uuid(),
        name: store.name.to_string(),
        kind,
        node,
        directory,
        endpoint,
        generation: store.generation,
        created_at: store.created_at.to_string(),
    }
}
