//! `DELETE /v1/instances/{id}`

use axum::extract::State;
use velum_model::InstanceKind;
use velum_wire::InstanceView;

use super::view::accepted;
use crate::{
    answer::Answer,
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Destroys an instance with its root volume; its data volumes stay.
#[utoipa::path(
    delete,
    path = "/v1/instances/{id}",
    responses((status = 202, body = InstanceView, description = "It was accepted to go"))
)]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<InstanceKind>,
    IfMatch(expected): IfMatch,
) -> Answered<Answer> {
    let going = api
        .services
        .instance_destroy(&caller, path.id, expected, None)
        .await?;
    Ok(Answer::of(going, accepted))
}
