//! `POST /v1/image-stores`

use std::sync::Arc;

use velum_model::{
    fault::Fault,
    infrastructure::{ImageStore, ImageStorePlace},
    port::image,
    tenancy::Caller,
};
use velum_store::{Change, Commit};

use super::NewImageStore;
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    targets::{check_addresses, probe},
    write::{administer, own_event},
};

impl Services {
    /// Registers an image store that answers.
    ///
    /// # Errors
    /// The zone does not exist, the store does not answer or cannot be written, the name is taken.
    pub async fn image_store_create(
        &self,
        caller: &Caller,
        new: NewImageStore,
        keyed: Option<Keyed<ImageStore>>,
    ) -> Result<Answered<ImageStore>, ServiceError> {
        administer(caller, "image store")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let zone = self.zone_named(caller, new.zone, "/zone_id").await?;
        let field = match &new.place {
            ImageStorePlace::Directory { node, directory } => {
                check_addresses(Some(node), None)?;
                if !directory.starts_with('/') {
                    let problem = format!("{directory} is no absolute path");
                    return Err(ServiceError::invalid("/directory", problem, "begin it with /"));
                }
                self.check_node(Some(node)).await?;
                "/directory"
            }
            ImageStorePlace::Http { endpoint } => {
                check_addresses(None, Some(endpoint))?;
                "/endpoint"
            }
        };
        let asked = probe(async { self.images(&new.place)?.probe().await }).await;
        asked.map_err(|fault| {
            let problem = format!("the image store cannot be used: {}", fault.detail);
            ServiceError::invalid(
                field,
                problem,
                "check that it exists and can be written, then try again",
            )
        })?;
        let store = ImageStore {
            id: self.fresh(),
            zone: zone.id,
            name: new.name,
            place: new.place,
            generation: 1,
            created_at: self.now(),
        };
        let commit = Commit {
            fence: Some(self.fence(zone.shard)?),
            changes: vec![Change::InsertImageStore(store.clone())],
            events: vec![own_event(
                caller,
                "image-store.created",
                ("image-stores", store.id.uuid()),
            )],
            ..Commit::default()
        };
        self.make("store the image store", commit, keyed.as_ref(), store)
            .await
    }

    /// The far side of an image store.
    pub(crate) fn images(&self, place: &ImageStorePlace) -> Result<Arc<dyn image::ImageStore>, Fault> {
        match place {
            ImageStorePlace::Directory { node, directory } => self.nodes().directory_store(node, directory),
            ImageStorePlace::Http { endpoint } => self.nodes().http_store(endpoint),
        }
    }
}
