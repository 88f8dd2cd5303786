//! `GET /v1/networks/{id}`

use axum::extract::State;
use velum_model::NetworkKind;
use velum_wire::NetworkView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a network.
#[utoipa::path(get, path = "/v1/networks/{id}", responses((status = 200, body = NetworkView, description = "As it is")))]
pub async fn get(State(api): State<ApiState>, By(caller): By, path: PathId<NetworkKind>) -> Answered<Answer> {
    let network = api.services.network_get(&caller, path.id).await?;
    Ok(answer::tagged(network.generation, &view(&network)))
}
