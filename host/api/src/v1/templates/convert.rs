//! Bodies about templates, checked.

use velum_model::{
    Id,
    storage::{ImageFormat, TemplateState},
};
use velum_service::NewTemplate;
use velum_wire::CreateTemplateBody;

use crate::{error::Answered, take::Fields};

/// A template to be registered.
pub fn new(body: CreateTemplateBody) -> Answered<NewTemplate> {
    let mut fields = Fields::new();
    let name = fields.name("/name", body.name);
    let upload_bytes = fields.quantity("/upload_bytes", body.upload_bytes);
    let is_sha256 = body.sha256.len() == 64
        && body
            .sha256
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !is_sha256 {
        fields.refuse("/sha256", "must be 64 lower-case hexadecimal digits");
    }
    let new = name.zip(upload_bytes).map(|(name, upload_bytes)| NewTemplate {
        zone: Id::from_uuid(body.zone_id),
        image_store: body.image_store_id.map(Id::from_uuid),
        name,
        format: match body.format {
            velum_wire::ImageFormat::Raw => ImageFormat::Raw,
            velum_wire::ImageFormat::Qcow2 => ImageFormat::Qcow2,
        },
        upload_bytes,
        sha256: body.sha256,
    });
    fields.answer(new)
}

/// Where a template is in its life; which failure it was does not matter to a list.
pub const fn state(state: velum_wire::TemplateState) -> TemplateState {
    match state {
        velum_wire::TemplateState::Uploading => TemplateState::Uploading,
        velum_wire::TemplateState::Registering => TemplateState::Registering,
        velum_wire::TemplateState::Ready => TemplateState::Ready,
        velum_wire::TemplateState::Failed => TemplateState::Failed(String::new()),
        velum_wire::TemplateState::Deleting => TemplateState::Deleting,
    }
}
