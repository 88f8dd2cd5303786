//! `GET /v1/ip-addresses`

use axum::extract::State;
use uuid::Uuid;
use velum_model::Id;
use velum_service::IpAddressFilter;
use velum_wire::{IpAddressView, Page};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which claimed addresses: those that match all that is said.
    IpAddressesQuery {
        /// Out of this range.
        ip_range_id: Uuid,
        /// Of this owner.
        project_id: Uuid,
        /// This address.
        address: String,
        /// Held by this NIC.
        nic_id: Uuid,
        /// Held by this compute host.
        compute_host_id: Uuid,
    }
}

impl IpAddressesQuery {
    fn filter(&self) -> Answered<IpAddressFilter> {
        Ok(IpAddressFilter {
            range: self.ip_range_id.map(Id::from_uuid),
            project: self.project_id.map(Id::from_uuid),
            address: take::addressed("address", self.address.as_deref())?,
            nic: self.nic_id.map(Id::from_uuid),
            compute_host: self.compute_host_id.map(Id::from_uuid),
        })
    }
}

/// Lists claimed addresses, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/ip-addresses",
    params(IpAddressesQuery),
    responses((status = 200, body = Page<IpAddressView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<IpAddressesQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .ip_address_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
