//! `DELETE /v1/templates/{id}`

use axum::extract::State;
use velum_model::TemplateKind;
use velum_wire::TemplateView;

use super::view::accepted;
use crate::{
    answer::Answer,
    auth::By,
    error::Answered,
    state::ApiState,
    take::{IfMatch, PathId},
};

/// Removes a template that nothing uses.
#[utoipa::path(
    delete,
    path = "/v1/templates/{id}",
    responses((status = 202, body = TemplateView, description = "It was accepted to go"))
)]
pub async fn delete(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<TemplateKind>,
    IfMatch(expected): IfMatch,
) -> Answered<Answer> {
    let going = api
        .services
        .template_delete(&caller, path.id, expected, None)
        .await?;
    Ok(Answer::of(going, accepted))
}
