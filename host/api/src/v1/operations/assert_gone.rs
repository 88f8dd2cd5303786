//! `POST /v1/operations/{id}/assert-gone`

use axum::extract::State;
use velum_model::OperationKind;
use velum_service::{OperatorVerb, OperatorsWord};
use velum_wire::{AssertGoneBody, OperationView};

use super::view::accepted;
use crate::{
    answer::Answer,
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId, Posted},
};

/// Lets a parked operation go on without what it could not reach: the operator's word that it is gone for good.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/assert-gone",
    request_body = AssertGoneBody,
    responses((status = 202, body = OperationView, description = "It goes on"))
)]
pub async fn assert_gone(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<OperationKind>,
    IfMatch(expected): IfMatch,
    Posted { body, ticket }: Posted<AssertGoneBody>,
) -> Answered<Answer> {
    let keyed = ticket.keyed(&caller, accepted);
    let said = OperatorsWord {
        verb: OperatorVerb::AssertGone,
        reason: Some(body.reason),
    };
    let done = api
        .services
        .operation_decide(&caller, path.id, expected, said, keyed)
        .await?;
    Ok(Answer::of(done, accepted))
}
