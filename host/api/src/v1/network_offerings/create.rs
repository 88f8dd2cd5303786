//! `POST /v1/network-offerings`

use axum::extract::State;
use velum_model::infrastructure::NetworkOffering;
use velum_service::StoredAnswer;
use velum_wire::{CreateNetworkOfferingBody, NetworkOfferingView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
};

/// Makes a network offering.
#[utoipa::path(
    post,
    path = "/v1/network-offerings",
    request_body = CreateNetworkOfferingBody,
    responses((status = 201, body = NetworkOfferingView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreateNetworkOfferingBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .network_offering_create(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(network_offering: &NetworkOffering) -> StoredAnswer {
    answer::created(
        format!("/v1/network-offerings/{}", network_offering.id),
        Some(network_offering.generation),
        &view(network_offering),
    )
}
