//! `GET /v1/ip-ranges`

use axum::extract::State;
use uuid::Uuid;
use velum_model::Id;
use velum_service::IpRangeFilter;
use velum_wire::{IpRangeView, Page};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Query, list_query},
};

list_query! {
    /// Which ranges of addresses: those that match all that is said.
    IpRangesQuery {
        /// In this zone.
        zone_id: Uuid,
        /// Of this network.
        network_id: Uuid,
        /// Of this pod.
        pod_id: Uuid,
    }
}

impl IpRangesQuery {
    fn filter(&self) -> Answered<IpRangeFilter> {
        Ok(IpRangeFilter {
            zone: self.zone_id.map(Id::from_uuid),
            network: self.network_id.map(Id::from_uuid),
            pod: self.pod_id.map(Id::from_uuid),
        })
    }
}

/// Lists ranges of addresses, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/ip-ranges",
    params(IpRangesQuery),
    responses((status = 200, body = Page<IpRangeView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<IpRangesQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .ip_range_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
