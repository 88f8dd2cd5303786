//! `GET /v1/zones`

use axum::extract::State;

use velum_service::ZoneFilter;
use velum_wire::{Page, ZoneView};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which zones: those that match all that is said.
    ZonesQuery {
        /// Of this name.
        name: String,
    }
}

impl ZonesQuery {
    fn filter(&self) -> Answered<ZoneFilter> {
        Ok(ZoneFilter {
            name: take::named("name", self.name.as_deref())?,
            ..ZoneFilter::default()
        })
    }
}

/// Lists zones, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/zones",
    params(ZonesQuery),
    responses((status = 200, body = Page<ZoneView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<ZonesQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .zone_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
