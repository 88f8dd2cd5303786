//! `GET /v1/compute-offerings/{id}`

use axum::extract::State;
use velum_model::ComputeOfferingKind;
use velum_wire::ComputeOfferingView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a compute offering.
#[utoipa::path(get, path = "/v1/compute-offerings/{id}", responses((status = 200, body = ComputeOfferingView, description = "As it is")))]
pub async fn get(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<ComputeOfferingKind>,
) -> Answered<Answer> {
    let compute_offering = api.services.compute_offering_get(&caller, path.id).await?;
    Ok(answer::tagged(
        compute_offering.generation,
        &view(&compute_offering),
    ))
}
