//! `GET /v1/disk-offerings`

use axum::extract::State;

use velum_service::DiskOfferingFilter;
use velum_wire::{DiskOfferingView, Page};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which disk offerings: those that match all that is said.
    DiskOfferingsQuery {
        /// Of this name.
        name: String,
    }
}

impl DiskOfferingsQuery {
    fn filter(&self) -> Answered<DiskOfferingFilter> {
        Ok(DiskOfferingFilter {
            name: take::named("name", self.name.as_deref())?,
        })
    }
}

/// Lists disk offerings, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/disk-offerings",
    params(DiskOfferingsQuery),
    responses((status = 200, body = Page<DiskOfferingView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<DiskOfferingsQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .disk_offering_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
