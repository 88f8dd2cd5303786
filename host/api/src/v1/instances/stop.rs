//! `POST /v1/instances/{id}/stop`

use axum::extract::State;
use velum_model::InstanceKind;
use velum_wire::{InstanceView, StopInstanceBody};

use super::view::accepted;
use crate::{
    answer::Answer,
    auth::By,
    error::Answered,
    state::ApiState,
    take::{MaybePosted, PathId},
};

/// An operating system that was asked to shut down is mostly off within half a minute.
const GRACE_MS: u64 = 30_000;

/// Stops an instance: the guest is asked, and turned off when it has not gone after a while.
#[utoipa::path(
    post,
    path = "/v1/instances/{id}/stop",
    request_body = Option<StopInstanceBody>,
    responses((status = 202, body = InstanceView, description = "It was accepted"))
)]
pub async fn stop(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<InstanceKind>,
    MaybePosted { body, ticket }: MaybePosted<StopInstanceBody>,
) -> Answered<Answer> {
    let keyed = ticket.keyed(&caller, accepted);
    let done = api
        .services
        .instance_stop(&caller, path.id, body.grace_ms.unwrap_or(GRACE_MS), keyed)
        .await?;
    Ok(Answer::of(done, accepted))
}
