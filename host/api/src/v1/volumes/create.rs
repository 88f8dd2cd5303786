//! `POST /v1/volumes`

use axum::extract::State;
use velum_wire::{CreateVolumeBody, VolumeView};

use super::{convert, view::accepted};
use crate::{answer::Answer, auth::By, error::Answered, state::ApiState, take::Posted};

/// Makes a volume; its room is claimed at once, the rest takes time.
#[utoipa::path(
    post,
    path = "/v1/volumes",
    request_body = CreateVolumeBody,
    responses((status = 202, body = VolumeView, description = "It was accepted"))
)]
pub async fn create(
    State(api): State<ApiState>,
    By(caller): By,
    Posted { body, ticket }: Posted<CreateVolumeBody>,
) -> Answered<Answer> {
    let new = convert::new(body)?;
    let made = api
        .services
        .volume_create(&caller, new, ticket.keyed(&caller, accepted))
        .await?;
    Ok(Answer::of(made, accepted))
}
