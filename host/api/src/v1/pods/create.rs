//! `POST /v1/pods`

use axum::extract::State;
use velum_model::infrastructure::Pod;
use velum_service::StoredAnswer;
use velum_wire::{CreatePodBody, PodView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::Posted,
};

/// Makes a pod.
#[utoipa::path(
    post,
    path = "/v1/pods",
    request_body = CreatePodBody,
    responses((status = 201, body = PodView, description = "It was made"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreatePodBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .pod_create(&caller, new, ticket.keyed(&caller, created))
        .await?;
    Ok(Answer::of(made, created))
}

fn created(pod: &Pod) -> StoredAnswer {
    answer::created(format!("/v1/pods/{}", pod.id), Some(pod.generation), &view(pod))
}
