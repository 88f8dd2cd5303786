//! `POST /v1/compute-offerings`

use axum::extract::State;
use velum_model::infrastructure::ComputeOffering;
use velum_service::StoredAnswer;
use velum_wire::{ComputeOfferingView, CreateComputeOfferingBody};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
};

/// Makes a compute offering.
#[utoipa::path(
    post,
    path = "/v1/compute-offerings",
    request_body = CreateComputeOfferingBody,
    responses((status = 201, body = ComputeOfferingView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreateComputeOfferingBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .compute_offering_create(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(compute_offering: &ComputeOffering) -> StoredAnswer {
    answer::created(
        format!("/v1/compute-offerings/{}", compute_offering.id),
        Some(compute_offering.generation),
        &view(compute_offering),
    )
}
