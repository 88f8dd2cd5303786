//! `GET /v1/pods/{id}`

use axum::extract::State;
use velum_model::PodKind;
use velum_wire::PodView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a pod.
#[utoipa::path(get, path = "/v1/pods/{id}", responses((status = 200, body = PodView, description = "As it is")))]
pub async fn get(State(api): State<ApiState>, By(caller): By, path: PathId<PodKind>) -> Answered<Answer> {
    let pod = api.services.pod_get(&caller, path.id).await?;
    Ok(answer::tagged(pod.generation, &view(&pod)))
}
