//! `PUT /v1/templates/{id}/upload`

use axum::extract::State;
use velum_model::TemplateKind;
use velum_service::Upload;
use velum_wire::UploadView;

use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Chunk, PathId, Query},
};

/// Where a piece of an upload belongs.
#[derive(Clone, Copy, Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UploadQuery {
    /// The first byte's place in the whole: what `received_bytes` says.
    #[param(minimum = 0, maximum = 1125899906842624_u64)]
    offset: u64,
}

/// Takes a piece of a template's upload, at most 8 MiB.
///
/// An upload that broke off goes on at `received_bytes` of the template. With the last piece an operation begins that
/// checks the image.
#[utoipa::path(
    put,
    path = "/v1/templates/{id}/upload",
    params(UploadQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, body = UploadView, description = "It arrived; more is awaited"),
        (status = 202, body = UploadView, description = "It was the last: an operation checks the image")
    )
)]
pub async fn upload(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<TemplateKind>,
    Query(query): Query<UploadQuery>,
    Chunk(chunk): Chunk,
) -> Answered<Answer> {
    let upload = api
        .services
        .template_write(&caller, path.id, query.offset, chunk.to_vec())
        .await?;
    Ok(taken(&upload))
}

fn taken(upload: &Upload) -> Answer {
    let template = &upload.template;
    let view = UploadView {
        template_id: template.id.uuid(),
        received_bytes: template.received_bytes,
        upload_bytes: template.upload_bytes.get(),
        complete: template.received_bytes == template.upload_bytes.get(),
    };
    match upload.operation {
        Some(operation) => answer::accepted(operation, template.generation, &view).into(),
        None => answer::plain(&view),
    }
}
