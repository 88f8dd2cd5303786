//! `POST /v1/zones`

use axum::extract::State;
use velum_model::infrastructure::Zone;
use velum_service::StoredAnswer;
use velum_wire::{CreateZoneBody, ZoneView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
};

/// Makes a zone.
#[utoipa::path(
    post,
    path = "/v1/zones",
    request_body = CreateZoneBody,
    responses((status = 201, body = ZoneView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreateZoneBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .zone_create(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(zone: &Zone) -> StoredAnswer {
    answer::created(
        format!("/v1/zones/{}", zone.id),
        Some(zone.generation),
        &view(zone),
    )
}
