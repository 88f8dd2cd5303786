//! `GET /v1/network-offerings/{id}`

use axum::extract::State;
use velum_model::NetworkOfferingKind;
use velum_wire::NetworkOfferingView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a network offering.
#[utoipa::path(get, path = "/v1/network-offerings/{id}", responses((status = 200, body = NetworkOfferingView, description = "As it is")))]
pub async fn get(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<NetworkOfferingKind>,
) -> Answered<Answer> {
    let network_offering = api.services.network_offering_get(&caller, path.id).await?;
    Ok(answer::tagged(
        network_offering.generation,
        &view(&network_offering),
    ))
}
