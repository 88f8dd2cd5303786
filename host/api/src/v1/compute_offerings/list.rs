//! `GET /v1/compute-offerings`

use axum::extract::State;

use velum_service::ComputeOfferingFilter;
use velum_wire::{ComputeOfferingView, Page};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which compute offerings: those that match all that is said.
    ComputeOfferingsQuery {
        /// Of this name.
        name: String,
    }
}

impl ComputeOfferingsQuery {
    fn filter(&self) -> Answered<ComputeOfferingFilter> {
        Ok(ComputeOfferingFilter {
            name: take::named("name", self.name.as_deref())?,
        })
    }
}

/// Lists compute offerings, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/compute-offerings",
    params(ComputeOfferingsQuery),
    responses((status = 200, body = Page<ComputeOfferingView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<ComputeOfferingsQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .compute_offering_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
