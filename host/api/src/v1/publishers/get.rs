//! `GET /v1/publishers/{id}`

use axum::extract::State;
use velum_model::PublisherKind;
use velum_wire::PublisherView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a publisher.
#[utoipa::path(
    get,
    path = "/v1/publishers/{id}",
    responses((status = 200, body = PublisherView, description = "As it is"))
)]
pub async fn get(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PublisherKind>,
) -> Answered<Answer> {
    let publisher = api.services.publisher_get(&caller, path.id).await?;
    Ok(answer::tagged(publisher.generation, &view(&publisher)))
}
