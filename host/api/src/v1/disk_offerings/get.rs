//! `GET /v1/disk-offerings/{id}`

use axum::extract::State;
use velum_model::DiskOfferingKind;
use velum_wire::DiskOfferingView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a disk offering.
#[utoipa::path(get, path = "/v1/disk-offerings/{id}", responses((status = 200, body = DiskOfferingView, description = "As it is")))]
pub async fn get(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<DiskOfferingKind>,
) -> Answered<Answer> {
    let disk_offering = api.services.disk_offering_get(&caller, path.id).await?;
    Ok(answer::tagged(disk_offering.generation, &view(&disk_offering)))
}
