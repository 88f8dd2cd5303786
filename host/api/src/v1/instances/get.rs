//! `GET /v1/instances/{id}`

use axum::extract::State;
use velum_model::InstanceKind;
use velum_wire::InstanceView;

use super::view::detailed;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows an instance with its run, NICs and volumes.
#[utoipa::path(get, path = "/v1/instances/{id}", responses((status = 200, body = InstanceView, description = "As it is")))]
pub async fn get(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<InstanceKind>,
) -> Answered<Answer> {
    let detail = api.services.instance_detail(&caller, path.id).await?;
    Ok(answer::tagged(detail.instance.generation, &detailed(&detail)))
}
