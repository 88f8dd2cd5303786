//! `GET /v1/affinity-groups/{id}`

use axum::extract::State;
use velum_model::AffinityGroupKind;
use velum_wire::AffinityGroupView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows an affinity group.
#[utoipa::path(get, path = "/v1/affinity-groups/{id}", responses((status = 200, body = AffinityGroupView, description = "As it is")))]
pub async fn get(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<AffinityGroupKind>,
) -> Answered<Answer> {
    let group = api.services.affinity_group_get(&caller, path.id).await?;
    Ok(answer::tagged(group.generation, &view(&group)))
}
