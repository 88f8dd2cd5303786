//! A template as it is shown.

use velum_model::storage::{ImageFormat, Template, TemplateState};
use velum_service::{Accepted, StoredAnswer};
use velum_wire::TemplateView;

use crate::answer;

/// A template as it is shown.
pub fn view(template: &Template) -> TemplateView {
    let (state, failure) = match &template.state {
        TemplateState::Uploading => (velum_wire::TemplateState::Uploading, None),
        TemplateState::Registering => (velum_wire::TemplateState::Registering, None),
        TemplateState::Ready => (velum_wire::TemplateState::Ready, None),
        TemplateState::Failed(why) => (velum_wire::TemplateState::Failed, Some(why.clone())),
        TemplateState::Deleting => (velum_wire::TemplateState::Deleting, None),
    };
    TemplateView {
        id: template.id.uuid(),
        zone_id: template.zone.uuid(),
        project_id: template.project.uuid(),
        image_store_id: template.image_store.uuid(),
        name: template.name.to_string(),
        format: match template.format {
            ImageFormat::Raw => velum_wire::ImageFormat::Raw,
            ImageFormat::Qcow2 => velum_wire::ImageFormat::Qcow2,
        },
        upload_bytes: template.upload_bytes.get(),
        received_bytes: template.received_bytes,
        sha256: template.sha256.clone(),
        state,
        failure,
        virtual_bytes: template.virtual_bytes,
        generation: template.generation,
        created_at: template.created_at.to_string(),
    }
}

/// 202: an operation works on it.
pub fn accepted(accepted: &Accepted<Template>) -> StoredAnswer {
    let template = &accepted.resource;
    answer::accepted(accepted.operation, template.generation, &view(template))
}
