//! `POST /v1/clusters`

use axum::extract::State;
use velum_model::infrastructure::Cluster;
use velum_service::StoredAnswer;
use velum_wire::{ClusterView, CreateClusterBody};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
};

/// Makes a cluster.
#[utoipa::path(
    post,
    path = "/v1/clusters",
    request_body = CreateClusterBody,
    responses((status = 201, body = ClusterView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreateClusterBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .cluster_create(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(cluster: &Cluster) -> StoredAnswer {
    answer::created(
        format!("/v1/clusters/{}", cluster.id),
        Some(cluster.generation),
        &view(cluster),
    )
}
