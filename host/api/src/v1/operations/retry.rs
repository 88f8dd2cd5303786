//! `POST /v1/operations/{id}/retry`

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

/// Lets a parked operation try again the step that failed, forward or backwards as it went.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/retry",
    request_body = Option<DecideOperationBody>,
    responses((status = 202, body = OperationView, description = "It goes on"))
)]
pub async fn retry(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<OperationKind>,
    IfMatch(expected): IfMatch,
    MaybePosted { body, ticket }: MaybePosted<DecideOperationBody>,
) -> Answered<Answer> {
    let keyed = ticket.keyed(&caller, accepted);
    let said = OperatorsWord {
        verb: OperatorVerb::Retry,
        reason: body.reason,
    };
    let done = api
        .services
        .operation_decide(&caller, path.id, expected, said, keyed)
        .await?;
    Ok(Answer::of(done, accepted))
}
