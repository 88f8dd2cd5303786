//! `GET /v1/templates/{id}`

use axum::extract::State;
use velum_model::TemplateKind;
use velum_wire::TemplateView;

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::PathId,
};

/// Shows a template.
#[utoipa::path(get, path = "/v1/templates/{id}", responses((status = 200, body = TemplateView, description = "As it is")))]
pub async fn get(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<TemplateKind>,
) -> Answered<Answer> {
    let template = api.services.template_get(&caller, path.id).await?;
    Ok(answer::tagged(template.generation, &view(&template)))
}
