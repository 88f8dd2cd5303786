//! `POST /v1/templates`

use axum::extract::State;
use velum_model::storage::Template;
use velum_service::StoredAnswer;
use velum_wire::{CreateTemplateBody, TemplateView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
};

/// Registers a template.
#[utoipa::path(
    post,
    path = "/v1/templates",
    request_body = CreateTemplateBody,
    responses((status = 201, body = TemplateView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreateTemplateBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .template_create(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(template: &Template) -> StoredAnswer {
    answer::created(
        format!("/v1/templates/{}", template.id),
        Some(template.generation),
        &view(template),
    )
}
