//! `GET /v1/templates`

use axum::extract::State;
use uuid::Uuid;
use velum_model::Id;
use velum_service::TemplateFilter;
use velum_wire::{Page, TemplateState, TemplateView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which templates: those that match all that is said.
    TemplatesQuery {
        /// Of this name.
        name: String,
        /// In this zone.
        zone_id: Uuid,
        /// In this image store.
        image_store_id: Uuid,
        /// In this state.
        #[param(inline)]
        state: TemplateState,
    }
}

impl TemplatesQuery {
    fn filter(&self) -> Answered<TemplateFilter> {
        Ok(TemplateFilter {
            name: take::named("name", self.name.as_deref())?,
            zone: self.zone_id.map(Id::from_uuid),
            image_store: self.image_store_id.map(Id::from_uuid),
            state: self.state.map(convert::state),
        })
    }
}

/// Lists templates, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/templates",
    params(TemplatesQuery),
    responses((status = 200, body = Page<TemplateView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<TemplatesQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .template_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
