//! `POST /v1/instances/{id}/reboot`

use axum::extract::State;
use velum_model::InstanceKind;
use velum_wire::{InstanceView, RebootInstanceBody};

use super::view::accepted;
use crate::{
    answer::Answer,
    auth::By,
    error::Answered,
    state::ApiState,
    take::{MaybePosted, PathId},
};

/// Reboots an instance: the guest is asked, or reset when `hard` is set.
#[utoipa::path(
    post,
    path = "/v1/instances/{id}/reboot",
    request_body = Option<RebootInstanceBody>,
    responses((status = 202, body = InstanceView, description = "It was accepted"))
)]
pub async fn reboot(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<InstanceKind>,
    MaybePosted { body, ticket }: MaybePosted<RebootInstanceBody>,
) -> Answered<Answer> {
    let keyed = ticket.keyed(&caller, accepted);
    let done = api
        .services
        .instance_reboot(&caller, path.id, body.hard, keyed)
        .await?;
    Ok(Answer::of(done, accepted))
}
