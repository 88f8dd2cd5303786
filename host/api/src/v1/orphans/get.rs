//! `GET /v1/orphans/{id}`

use axum::extract::State;
use velum_model::OrphanMark;
use velum_wire::OrphanView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows something that no row owns.
#[utoipa::path(get, path = "/v1/orphans/{id}", responses((status = 200, body = OrphanView, description = "As it is")))]
pub async fn get(State(api): State<ApiState>, By(caller): By, path: PathId<OrphanMark>) -> Answered<Answer> {
    let orphan = api.services.orphan_get(&caller, path.id).await?;
    Ok(answer::plain(&view(&orphan)))
}
