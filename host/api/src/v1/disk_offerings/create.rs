//! `POST /v1/disk-offerings`

use axum::extract::State;
use velum_model::infrastructure::DiskOffering;
use velum_service::StoredAnswer;
use velum_wire::{CreateDiskOfferingBody, DiskOfferingView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
};

/// Makes a disk offering.
#[utoipa::path(
    post,
    path = "/v1/disk-offerings",
    request_body = CreateDiskOfferingBody,
    responses((status = 201, body = DiskOfferingView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreateDiskOfferingBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .disk_offering_create(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(disk_offering: &DiskOffering) -> StoredAnswer {
    answer::created(
        format!("/v1/disk-offerings/{}", disk_offering.id),
        Some(disk_offering.generation),
        &view(disk_offering),
    )
}
