//! `GET /v1/instances/{id}/decision`

use axum::extract::State;
use velum_model::InstanceKind;
use velum_wire::DecisionView;

use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
    v1::decisions::view::{names, view},
};

/// Says why an instance is where it is.
#[utoipa::path(
    get,
    path = "/v1/instances/{id}/decision",
    responses((status = 200, body = DecisionView, description = "The decision of its last run"))
)]
pub async fn decision(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<InstanceKind>,
) -> Answered<Answer> {
    let why = api.services.instance_why(&caller, path.id).await?;
    let names = names(&api, &caller, &why.decision).await;
    Ok(answer::plain(&view(&why.decision, &names)))
}
