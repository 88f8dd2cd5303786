//! `POST /v1/node-tokens`

use axum::extract::State;
use velum_wire::{CreateNodeTokenBody, NodeTokenView};

use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::MaybePosted,
};

/// Makes a join token.
///
/// One machine can join the cloud with it, once and for a time. It is shown this once: there is no idempotency key,
/// because under one it would have to be kept. `velum-node enroll` takes it.
#[utoipa::path(
    post,
    path = "/v1/node-tokens",
    request_body = Option<CreateNodeTokenBody>,
    responses((status = 200, body = NodeTokenView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    MaybePosted { body, .. }: MaybePosted<CreateNodeTokenBody>,
) -> Answered<Answer> {
    let made = api.services.node_token_create(&caller, body.valid_s).await?;
    Ok(answer::plain(&NodeTokenView {
        token: made.token.reveal(),
        expires_at: made.expires_at.to_string(),
    }))
}
