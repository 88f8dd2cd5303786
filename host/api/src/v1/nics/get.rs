//! `GET /v1/nics/{id}`

use axum::extract::State;
use velum_model::NicKind;
use velum_wire::NicView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows an NIC.
#[utoipa::path(get, path = "/v1/nics/{id}", responses((status = 200, body = NicView, description = "As it is")))]
pub async fn get(State(api): State<ApiState>, By(caller): By, path: PathId<NicKind>) -> Answered<Answer> {
    let nic = api.services.nic_get(&caller, path.id).await?;
    Ok(answer::plain(&view(&nic)))
}
