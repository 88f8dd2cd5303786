//! `POST /v1/operations/{id}/undo`

use axum::extract::State;
use velum_model::OperationKind;
use velum_service::{OperatorVerb, OperatorsWord};
use velum_wire::{DecideOperationBody, OperationView};

use super::view::accepted;
use crate::{
    answer::Answer,
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, MaybePosted, PathId},
};

/// Turns a parked operation back, also past the point from which it only goes forward by itself.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/undo",
    request_body = Option<DecideOperationBody>,
    responses((status = 202, body = OperationView, description = "It goes on"))
)]
pub async fn undo(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<OperationKind>,
    IfMatch(expected): IfMatch,
    MaybePosted { body, ticket }: MaybePosted<DecideOperationBody>,
) -> Answered<Answer> {
    let keyed = ticket.keyed(&caller, accepted);
    let said = OperatorsWord {
        verb: OperatorVerb::Undo,
        reason: body.reason,
    };
    let done = api
        .services
        .operation_decide(&caller, path.id, expected, said, keyed)
        .await?;
    Ok(Answer::of(done, accepted))
}
