//! `GET /v1/pods`

use axum::extract::State;
use uuid::Uuid;
use velum_model::Id;
use velum_service::PodFilter;
use velum_wire::{Page, PodView};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which pods: those that match all that is said.
    PodsQuery {
        /// Of this name.
        name: String,
        /// In this zone.
        zone_id: Uuid,
    }
}

impl PodsQuery {
    fn filter(&self) -> Answered<PodFilter> {
        Ok(PodFilter {
            name: take::named("name", self.name.as_deref())?,
            zone: self.zone_id.map(Id::from_uuid),
        })
    }
}

/// Lists pods, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/pods",
    params(PodsQuery),
    responses((status = 200, body = Page<PodView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<PodsQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .pod_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
