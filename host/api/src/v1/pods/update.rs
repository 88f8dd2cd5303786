//! `PATCH /v1/pods/{id}`

use axum::extract::State;
use velum_model::PodKind;
use velum_wire::{PodView, UpdatePodBody};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Body, IfMatch, PathId},
};

/// Changes a pod: what the body does not name stays.
#[utoipa::path(
    patch,
    path = "/v1/pods/{id}",
    request_body = UpdatePodBody,
    responses((status = 200, body = PodView, description = "As it is now"))
)]
pub async fn update(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PodKind>,
    IfMatch(expected): IfMatch,
    Body(body): Body<UpdatePodBody>,
) -> Answered<Answer> {
    let pod = api
        .services
        .pod_change(&caller, path.id, expected, convert::change(body)?)
        .await?;
    Ok(answer::tagged(pod.generation, &view(&pod)))
}
