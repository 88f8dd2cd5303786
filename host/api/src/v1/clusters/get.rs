//! `GET /v1/clusters/{id}`

use axum::extract::State;
use velum_model::ClusterKind;
use velum_wire::ClusterView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a cluster.
#[utoipa::path(get, path = "/v1/clusters/{id}", responses((status = 200, body = ClusterView, description = "As it is")))]
pub async fn get(State(api): State<ApiState>, By(caller): By, path: PathId<ClusterKind>) -> Answered<Answer> {
    let cluster = api.services.cluster_get(&caller, path.id).await?;
    Ok(answer::tagged(cluster.generation, &view(&cluster)))
}
