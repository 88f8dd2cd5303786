//! `GET /v1/policies/{id}`

use axum::extract::State;
use velum_model::PolicyKind;
use velum_wire::PolicyView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a policy.
#[utoipa::path(get, path = "/v1/policies/{id}", responses((status = 200, body = PolicyView, description = "As it is")))]
pub async fn get(State(api): State<ApiState>, By(caller): By, path: PathId<PolicyKind>) -> Answered<Answer> {
    let policy = api.services.policy_get(&caller, path.id).await?;
    Ok(answer::tagged(policy.generation, &view(&policy)))
}
