//! `PATCH /v1/zones/{id}`

use axum::extract::State;
use velum_model::ZoneKind;
use velum_wire::{UpdateZoneBody, ZoneView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Body, IfMatch, PathId},
};

/// Changes a zone: what the body does not name stays.
#[utoipa::path(
    patch,
    path = "/v1/zones/{id}",
    request_body = UpdateZoneBody,
    responses((status = 200, body = ZoneView, description = "As it is now"))
)]
pub async fn update(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<ZoneKind>,
    IfMatch(expected): IfMatch,
    Body(body): Body<UpdateZoneBody>,
) -> Answered<Answer> {
    let zone = api
        .services
        .zone_change(&caller, path.id, expected, convert::change(body)?)
        .await?;
    Ok(answer::tagged(zone.generation, &view(&zone)))
}
