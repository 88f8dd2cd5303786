//! `POST /v1/publishers`

use axum::extract::State;
use velum_model::trust::Publisher;
use velum_service::StoredAnswer;
use velum_wire::{CreatePublisherBody, PublisherView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
};

/// Makes a publisher. Nothing is trusted by that: its keys are.
#[utoipa::path(
    post,
    path = "/v1/publishers",
    request_body = CreatePublisherBody,
    responses((status = 201, body = PublisherView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreatePublisherBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .publisher_create(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(publisher: &Publisher) -> StoredAnswer {
    answer::created(
        format!("/v1/publishers/{}", publisher.id),
        Some(publisher.generation),
        &view(publisher),
    )
}
