//! `POST /v1/compute-hosts/{id}/maintenance`

use axum::extract::State;
use velum_model::ComputeHostKind;
use velum_wire::ComputeHostView;

use super::view::accepted;
use crate::{
    answer::Answer,
    auth::By,
    error::Answered,
    state::ApiState,
    take::{NoBody, PathId},
};

/// Takes a compute host out of service: it gets no new guests.
#[utoipa::path(
    post,
    path = "/v1/compute-hosts/{id}/maintenance",
    responses((status = 202, body = ComputeHostView, description = "It was accepted"))
)]
pub async fn maintenance(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<ComputeHostKind>,
    NoBody(ticket): NoBody,
) -> Answered<Answer> {
    let host = api
        .services
        .compute_host_maintenance(&caller, path.id, None, ticket.keyed(&caller, accepted))
        .await?;
    Ok(Answer::of(host, accepted))
}
