//! `POST /v1/ip-ranges`

use axum::extract::State;
use velum_model::infrastructure::IpRange;
use velum_service::StoredAnswer;
use velum_wire::{CreateIpRangeBody, IpRangeView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
};

/// Makes a range of addresses.
#[utoipa::path(
    post,
    path = "/v1/ip-ranges",
    request_body = CreateIpRangeBody,
    responses((status = 201, body = IpRangeView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreateIpRangeBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .ip_range_create(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(ip_range: &IpRange) -> StoredAnswer {
    answer::created(
        format!("/v1/ip-ranges/{}", ip_range.id),
        Some(ip_range.generation),
        &view(ip_range),
    )
}
