//! Bodies about image stores, checked.

use velum_model::{Id, infrastructure::ImageStorePlace};
use velum_service::NewImageStore;
use velum_wire::CreateImageStoreBody;

use crate::{error::Answered, take::Fields};

/// An image store to be registered.
pub fn new(body: CreateImageStoreBody) -> Answered<NewImageStore> {
    let mut fields = Fields::new();
    let name = fields.name("/name", body.name);
    let node = fields.text_if("/node", body.node);
    let directory = fields.text_if("/directory", body.directory);
    let endpoint = fields.text_if("/endpoint", body.endpoint);
    let place = match (node, directory, endpoint) {
        (Some(node), Some(directory), None) => Some(ImageStorePlace::Directory { node, directory }),
        (None, None, Some(endpoint)) => Some(ImageStorePlace::Http { endpoint }),
        (Some(_), None, None) => {
            fields.refuse("/directory", "name the directory on the node");
            None
        }
        (None, Some(_), None) => {
            fields.refuse("/node", "name the node that has the directory");
            None
        }
        (None, None, None) => {
            fields.refuse("/endpoint", "give node and directory, or endpoint");
            None
        }
        (_, _, Some(_)) => {
            fields.refuse(
                "/endpoint",
                "give either node and directory, or endpoint, not both",
            );
            None
        }
    };
    let new = name.zip(place).map(|(name, place)| NewImageStore {
        zone: Id::from_uuid(body.zone_id),
        name,
        place,
    });
    fields.answer(new)
}
