//! `GET /v1/network-offerings`

use axum::extract::State;

use velum_service::NetworkOfferingFilter;
use velum_wire::{NetworkOfferingView, Page};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which network offerings: those that match all that is said.
    NetworkOfferingsQuery {
        /// Of this name.
        name: String,
    }
}

impl NetworkOfferingsQuery {
    fn filter(&self) -> Answered<NetworkOfferingFilter> {
        Ok(NetworkOfferingFilter {
            name: take::named("name", self.name.as_deref())?,
        })
    }
}

/// Lists network offerings, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/network-offerings",
    params(NetworkOfferingsQuery),
    responses((status = 200, body = Page<NetworkOfferingView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<NetworkOfferingsQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .network_offering_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
