//! `POST /v1/instances/{id}/start`

use axum::extract::State;
use velum_model::InstanceKind;
use velum_wire::InstanceView;

use super::view::accepted;
use crate::{
    answer::Answer,
    auth::By,
    error::Answered,
    state::ApiState,
    take::{NoBody, PathId},
};

/// Starts a stopped instance: it is placed again.
#[utoipa::path(
    post,
    path = "/v1/instances/{id}/start",
    responses((status = 202, body = InstanceView, description = "It was accepted"))
)]
pub async fn start(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<InstanceKind>,
    NoBody(ticket): NoBody,
) -> Answered<Answer> {
    let done = api
        .services
        .instance_start(&caller, path.id, ticket.keyed(&caller, accepted))
        .await?;
    Ok(Answer::of(done, accepted))
}
