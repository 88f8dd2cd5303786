//! `PATCH /v1/disk-offerings/{id}`

use axum::extract::State;
use velum_model::DiskOfferingKind;
use velum_wire::{DiskOfferingView, UpdateDiskOfferingBody};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Body, IfMatch, PathId},
};

/// Changes a disk offering: what the body does not name stays.
#[utoipa::path(
    patch,
    path = "/v1/disk-offerings/{id}",
    request_body = UpdateDiskOfferingBody,
    responses((status = 200, body = DiskOfferingView, description = "As it is now"))
)]
pub async fn update(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<DiskOfferingKind>,
    IfMatch(expected): IfMatch,
    Body(body): Body<UpdateDiskOfferingBody>,
) -> Answered<Answer> {
    let disk_offering = api
        .services
        .disk_offering_change(&caller, path.id, expected, convert::change(body)?)
        .await?;
    Ok(answer::tagged(disk_offering.generation, &view(&disk_offering)))
}
