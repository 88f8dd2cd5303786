//! `POST /v1/volumes/{id}/detach`

use axum::extract::State;
use velum_model::VolumeKind;
use velum_wire::VolumeView;

use super::view::accepted;
use crate::{
    answer::Answer,
    auth::By,
    error::Answered,
    state::ApiState,
    take::{NoBody, PathId},
};

/// Takes a volume back from its instance.
#[utoipa::path(
    post,
    path = "/v1/volumes/{id}/detach",
    responses((status = 202, body = VolumeView, description = "It was accepted"))
)]
pub async fn detach(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<VolumeKind>,
    NoBody(ticket): NoBody,
) -> Answered<Answer> {
    let done = api
        .services
        .volume_detach(&caller, path.id, ticket.keyed(&caller, accepted))
        .await?;
    Ok(Answer::of(done, accepted))
}
