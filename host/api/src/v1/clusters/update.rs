//! `PATCH /v1/clusters/{id}`

use axum::extract::State;
use velum_model::ClusterKind;
use velum_wire::{ClusterView, UpdateClusterBody};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Body, IfMatch, PathId},
};

/// Changes a cluster: what the body does not name stays.
#[utoipa::path(
    patch,
    path = "/v1/clusters/{id}",
    request_body = UpdateClusterBody,
    responses((status = 200, body = ClusterView, description = "As it is now"))
)]
pub async fn update(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<ClusterKind>,
    IfMatch(expected): IfMatch,
    Body(body): Body<UpdateClusterBody>,
) -> Answered<Answer> {
    let cluster = api
        .services
        .cluster_change(&caller, path.id, expected, convert::change(body)?)
        .await?;
    Ok(answer::tagged(cluster.generation, &view(&cluster)))
}
