//! `GET /v1/image-stores`

use axum::extract::State;
use uuid::Uuid;
use velum_model::Id;
use velum_service::ImageStoreFilter;
use velum_wire::{ImageStoreView, Page};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which image stores: those that match all that is said.
    ImageStoresQuery {
        /// Of this name.
        name: String,
        /// In this zone.
        zone_id: Uuid,
    }
}

impl ImageStoresQuery {
    fn filter(&self) -> Answered<ImageStoreFilter> {
        Ok(ImageStoreFilter {
            name: take::named("name", self.name.as_deref())?,
            zone: self.zone_id.map(Id::from_uuid),
        })
    }
}

/// Lists image stores, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/image-stores",
    params(ImageStoresQuery),
    responses((status = 200, body = Page<ImageStoreView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<ImageStoresQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .image_store_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
