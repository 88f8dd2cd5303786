//! `POST /v1/templates`

use velum_model::{
    ImageStoreId,
    infrastructure::{ImageStore, Zone},
    page::Page,
    storage::{Template, TemplateState},
    tenancy::Caller,
};
use velum_store::{Change, Commit, ImageStoreFilter};

use super::NewTemplate;
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    write::{event, no_such},
};

impl Services {
    /// Registers a template; its bytes come with [`Services::template_write`].
    ///
    /// # Errors
    /// Zone or image store do not exist, the checksum is none, the name is taken.
    pub async fn template_create(
        &self,
        caller: &Caller,
        new: NewTemplate,
        keyed: Option<Keyed<Template>>,
    ) -> Result<Answered<Template>, ServiceError> {
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        if velum_model::plugin::Digest::from_hex(&new.sha256).is_err() {
            return Err(ServiceError::invalid(
                "/sha256",
                "it is not 64 lower-case hexadecimal digits",
                "give the SHA-256 of the file (sha256sum FILE)",
            ));
        }
        let zone = self.zone_named(caller, new.zone, "/zone_id").await?;
        let store = self.image_store_of(&zone, new.image_store).await?;
        let template = Template {
            id: self.fresh(),
            zone: zone.id,
            project: caller.scope.project(),
            image_store: store.id,
            name: new.name,
            format: new.format,
            upload_bytes: new.upload_bytes,
            received_bytes: 0,
            sha256: new.sha256,
            state: TemplateState::Uploading,
            virtual_bytes: None,
            reference: None,
            generation: 1,
            created_at: self.now(),
        };
        let about = ("templates", template.id.uuid());
        let commit = Commit {
            fence: Some(self.fence(zone.shard)?),
            changes: vec![Change::InsertTemplate(template.clone())],
            events: vec![event(caller, "template.created", template.project, about)],
            ..Commit::default()
        };
        self.make("store the template", commit, keyed.as_ref(), template)
            .await
    }

    /// The image store that was named, or the zone's only one.
    async fn image_store_of(
        &self,
        zone: &Zone,
        wanted: Option<ImageStoreId>,
    ) -> Result<ImageStore, ServiceError> {
        let failed = |error| ServiceError::from_store("read the image stores", error);
        let field = "/image_store_id";
        if let Some(id) = wanted {
            let store = self.read().image_store(id).await.map_err(failed)?;
            return store
                .filter(|store| store.zone == zone.id)
                .ok_or_else(|| no_such(field, "image store of the zone", id));
        }
        let of_zone = ImageStoreFilter {
            zone: Some(zone.id),
            ..ImageStoreFilter::default()
        };
        let stores = self
            .read()
            .image_stores(&of_zone, Page::default())
            .await
            .map_err(failed)?;
        let count = stores.items.len();
        match (stores.items.into_iter().next(), count) {
            (Some(store), 1) => Ok(store),
            (None, _) => Err(ServiceError::invalid(
                "/zone_id",
                format!("the zone {} has no image store", zone.name),
                "register one with POST /v1/image-stores first",
            )),
            (Some(_), _) => Err(ServiceError::invalid(
                field,
                format!("the zone {} has {count} image stores", zone.name),
                "name one of them",
            )),
        }
    }
}
