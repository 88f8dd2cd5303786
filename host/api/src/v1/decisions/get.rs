//! `GET /v1/decisions/{id}`

use axum::extract::State;
use velum_model::DecisionKind;
use velum_wire::DecisionView;

use super::view::{names, view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a decision.
#[utoipa::path(get, path = "/v1/decisions/{id}", responses((status = 200, body = DecisionView, description = "As it was made")))]
pub async fn get(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<DecisionKind>,
) -> Answered<Answer> {
    let decision = api.services.decision_get(&caller, path.id).await?;
    Ok(answer::plain(&view(
        &decision,
        &names(&api, &caller, &decision).await,
    )))
}
