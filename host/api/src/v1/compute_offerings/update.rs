//! `PATCH /v1/compute-offerings/{id}`

use axum::extract::State;
use velum_model::ComputeOfferingKind;
use velum_wire::{ComputeOfferingView, UpdateComputeOfferingBody};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Body, IfMatch, PathId},
};

/// Changes a compute offering: what the body does not name stays.
#[utoipa::path(
    patch,
    path = "/v1/compute-offerings/{id}",
    request_body = UpdateComputeOfferingBody,
    responses((status = 200, body = ComputeOfferingView, description = "As it is now"))
)]
pub async fn update(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<ComputeOfferingKind>,
    IfMatch(expected): IfMatch,
    Body(body): Body<UpdateComputeOfferingBody>,
) -> Answered<Answer> {
    let compute_offering = api
        .services
        .compute_offering_change(&caller, path.id, expected, convert::change(body)?)
        .await?;
    Ok(answer::tagged(
        compute_offering.generation,
        &view(&compute_offering),
    ))
}
