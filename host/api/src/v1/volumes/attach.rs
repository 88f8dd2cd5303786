//! `POST /v1/volumes/{id}/attach`

use axum::extract::State;
use velum_model::{Id, VolumeKind};
use velum_wire::{AttachVolumeBody, VolumeView};

use super::view::accepted;
use crate::{
    answer::Answer,
    auth::By,
    error::Answered,
    state::ApiState,
    take::{PathId, Posted},
};

/// Gives a volume to an instance, running or stopped.
#[utoipa::path(
    post,
    path = "/v1/volumes/{id}/attach",
    request_body = AttachVolumeBody,
    responses((status = 202, body = VolumeView, description = "It was accepted"))
)]
pub async fn attach(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<VolumeKind>,
    Posted { body, ticket }: Posted<AttachVolumeBody>,
) -> Answered<Answer> {
    let instance = Id::from_uuid(body.instance_id);
    let done = api
        .services
        .volume_attach(&caller, path.id, instance, ticket.keyed(&caller, accepted))
        .await?;
    Ok(Answer::of(done, accepted))
}
