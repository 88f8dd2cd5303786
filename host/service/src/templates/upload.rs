//! `PUT /v1/templates/{id}/content`: pieces of an upload, one after another, each durable before it is answered.

use std::sync::Arc;

use velum_model::{
    TemplateId,
    fault::Fault,
    operation::{OperationKindName, Subject},
    port::image::ImageStore,
    storage::{Template, TemplateState},
    tenancy::Caller,
};
use velum_operation::params::TemplateRegister;
use velum_store::{Change, Commit};

use super::{CHUNK_MAX, Upload};
use crate::{
    error::{SOON_S, ServiceError},
    services::Services,
    write::{Acceptance, accepted_event},
};

impl Services {
    /// Writes `chunk` (at most [`CHUNK_MAX`] bytes) at `offset`, which is where the bytes that arrived end. When the
    /// last byte is there, the operation that checks the image is accepted. An upload that was interrupted goes on at
    /// [`ServiceError::WrongOffset`]'s `expected`, or at the template's `received_bytes`.
    ///
    /// # Errors
    /// It does not exist or awaits no bytes, the offset is another, more bytes come than were promised, the image
    /// store does not answer.
    pub async fn template_write(
        &self,
        caller: &Caller,
        id: TemplateId,
        offset: u64,
        chunk: Vec<u8>,
    ) -> Result<Upload, ServiceError> {
        let mut template = self.template_get(caller, id).await?;
        check_piece(&template, offset, &chunk)?;
        let images = self.images_of(&template).await?;
        // The image store's own count is the truth: a crash may have come between its write and our commit.
        let there = images.received(id.uuid()).await.map_err(unavailable)?;
        let got = chunk.len() as u64;
        let received = if there == offset && got > 0 {
            images
                .write(id.uuid(), offset, chunk)
                .await
                .map_err(unavailable)?
        } else {
            there
        };
        let operation = self.note_received(caller, &mut template, received).await?;
        if operation.is_none() && there != offset {
            return Err(ServiceError::WrongOffset {
                expected: received,
                got: offset,
            });
        }
        Ok(Upload { template, operation })
    }

    async fn images_of(&self, template: &Template) -> Result<Arc<dyn ImageStore>, ServiceError> {
        let store = self.read().image_store(template.image_store).await;
        let store = store
            .map_err(|error| ServiceError::from_store("read the image store", error))?
            .ok_or_else(|| ServiceError::not_found("image store", template.image_store))?;
        self.images(&store.place).map_err(unavailable)
    }

    /// Records how far the upload is; with the last byte the operation that checks it is accepted.
    async fn note_received(
        &self,
        caller: &Caller,
        template: &mut Template,
        received: u64,
    ) -> Result<Option<velum_model::OperationId>, ServiceError> {
        let zone = self.zone_of(template.zone).await?;
        let is_whole = received == template.upload_bytes.get();
        if received == template.received_bytes && !is_whole {
            return Ok(None);
        }
        let mut commit = Commit {
            changes: vec![Change::TemplateReceived {
                id: template.id,
                received_bytes: received,
            }],
            ..Commit::default()
        };
        template.received_bytes = received;
        let mut accepted = None;
        if is_whole {
            let (operation, write, _) = self.accept(
                caller,
                Acceptance {
                    kind: OperationKindName::TemplateRegister,
                    subject: Subject::Template(template.id),
                    project: template.project,
                    shard: zone.shard,
                    params: TemplateRegister::default(),
                    also_locks: None,
                    preempts: false,
                },
            )?;
            commit.operation = Some(write);
            commit.changes.push(Change::TemplateState {
                id: template.id,
                to: TemplateState::Registering,
                virtual_bytes: None,
                reference: None,
            });
            let about = ("templates", template.id.uuid());
            commit.events.push(accepted_event(
                caller,
                "template.uploaded",
                template.project,
                operation,
                about,
            ));
            template.state = TemplateState::Registering;
            accepted = Some(operation);
        }
        commit.fence = Some(self.fence(zone.shard)?);
        self.commit("record the upload", commit).await?;
        if accepted.is_some() {
            template.generation += 1;
        }
        Ok(accepted)
    }
}

fn check_piece(template: &Template, offset: u64, chunk: &[u8]) -> Result<(), ServiceError> {
    if template.state != TemplateState::Uploading {
        return Err(ServiceError::InvalidState {
            what: "template",
            id: template.id.uuid(),
            problem: "the template awaits no bytes: its upload is complete, or it is being removed".into(),
        });
    }
    if chunk.len() > CHUNK_MAX {
        let problem = format!("a piece of {} bytes is larger than {CHUNK_MAX}", chunk.len());
        return Err(ServiceError::invalid("", problem, "send smaller pieces"));
    }
    if offset.saturating_add(chunk.len() as u64) > template.upload_bytes.get() {
        let problem = format!(
            "the upload goes past the {} bytes promised",
            template.upload_bytes.get()
        );
        return Err(ServiceError::invalid(
            "",
            problem,
            "register the template with the file's length",
        ));
    }
    Ok(())
}

fn unavailable(fault: Fault) -> ServiceError {
    ServiceError::Unavailable {
        problem: format!("the image store did not take the bytes: {}", fault.detail),
        retry_after_s: SOON_S,
    }
}
