//! `GET /v1/zones/{id}`

use axum::extract::State;
use velum_model::ZoneKind;
use velum_wire::ZoneView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a zone.
#[utoipa::path(get, path = "/v1/zones/{id}", responses((status = 200, body = ZoneView, description = "As it is")))]
pub async fn get(State(api): State<ApiState>, By(caller): By, path: PathId<ZoneKind>) -> Answered<Answer> {
    let zone = api.services.zone_get(&caller, path.id).await?;
    Ok(answer::tagged(zone.generation, &view(&zone)))
}
