//! `PATCH /v1/publishers/{id}`

use axum::extract::State;
use velum_model::PublisherKind;
use velum_wire::{PublisherView, UpdatePublisherBody};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Body, IfMatch, PathId},
};

/// Changes a publisher: what the body does not name stays.
#[utoipa::path(
    patch,
    path = "/v1/publishers/{id}",
    request_body = UpdatePublisherBody,
    responses((status = 200, body = PublisherView, description = "As it is now"))
)]
pub async fn update(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PublisherKind>,
    IfMatch(expected): IfMatch,
    Body(body): Body<UpdatePublisherBody>,
) -> Answered<Answer> {
    let publisher = api
        .services
        .publisher_change(&caller, path.id, expected, convert::change(body)?)
        .await?;
    Ok(answer::tagged(publisher.generation, &view(&publisher)))
}
