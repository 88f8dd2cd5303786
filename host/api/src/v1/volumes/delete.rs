//! `DELETE /v1/volumes/{id}`

use axum::extract::State;
use velum_model::VolumeKind;
use velum_wire::VolumeView;

use super::view::accepted;
use crate::{
    answer::Answer,
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes a volume that nothing uses.
#[utoipa::path(
    delete,
    path = "/v1/volumes/{id}",
    responses((status = 202, body = VolumeView, description = "It was accepted to go"))
)]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<VolumeKind>,
    IfMatch(expected): IfMatch,
) -> Answered<Answer> {
    let going = api
        .services
        .volume_delete(&caller, path.id, expected, None)
        .await?;
    Ok(Answer::of(going, accepted))
}
