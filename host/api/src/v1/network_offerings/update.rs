//! `PATCH /v1/network-offerings/{id}`

use axum::extract::State;
use velum_model::NetworkOfferingKind;
use velum_wire::{NetworkOfferingView, UpdateNetworkOfferingBody};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Body, IfMatch, PathId},
};

/// Changes a network offering: what the body does not name stays.
#[utoipa::path(
    patch,
    path = "/v1/network-offerings/{id}",
    request_body = UpdateNetworkOfferingBody,
    responses((status = 200, body = NetworkOfferingView, description = "As it is now"))
)]
pub async fn update(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<NetworkOfferingKind>,
    IfMatch(expected): IfMatch,
    Body(body): Body<UpdateNetworkOfferingBody>,
) -> Answered<Answer> {
    let network_offering = api
        .services
        .network_offering_change(&caller, path.id, expected, convert::change(body)?)
        .await?;
    Ok(answer::tagged(
        network_offering.generation,
        &view(&network_offering),
    ))
}
