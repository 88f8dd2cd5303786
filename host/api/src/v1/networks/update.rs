//! `PATCH /v1/networks/{id}`

use axum::extract::State;
use velum_model::NetworkKind;
use velum_wire::{NetworkView, UpdateNetworkBody};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Body, IfMatch, PathId},
};

/// Changes a network: what the body does not name stays.
#[utoipa::path(
    patch,
    path = "/v1/networks/{id}",
    request_body = UpdateNetworkBody,
    responses((status = 200, body = NetworkView, description = "As it is now"))
)]
pub async fn update(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<NetworkKind>,
    IfMatch(expected): IfMatch,
    Body(body): Body<UpdateNetworkBody>,
) -> Answered<Answer> {
    let network = api
        .services
        .network_change(&caller, path.id, expected, convert::change(body)?)
        .await?;
    Ok(answer::tagged(network.generation, &view(&network)))
}
