//! `GET /v1/volumes/{id}`

use axum::extract::State;
use velum_model::VolumeKind;
use velum_wire::VolumeView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a volume.
#[utoipa::path(get, path = "/v1/volumes/{id}", responses((status = 200, body = VolumeView, description = "As it is")))]
pub async fn get(State(api): State<ApiState>, By(caller): By, path: PathId<VolumeKind>) -> Answered<Answer> {
    let volume = api.services.volume_get(&caller, path.id).await?;
    Ok(answer::tagged(volume.generation, &view(&volume)))
}
