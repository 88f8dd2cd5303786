//! `POST /v1/networks`

use axum::extract::State;
use velum_model::infrastructure::Network;
use velum_service::StoredAnswer;
use velum_wire::{CreateNetworkBody, NetworkView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
};

/// Makes a network.
#[utoipa::path(
    post,
    path = "/v1/networks",
    request_body = CreateNetworkBody,
    responses((status = 201, body = NetworkView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreateNetworkBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .network_create(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(network: &Network) -> StoredAnswer {
    answer::created(
        format!("/v1/networks/{}", network.id),
        Some(network.generation),
        &view(network),
    )
}
