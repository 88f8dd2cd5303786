//! `GET /v1/nics`

use axum::extract::State;
use uuid::Uuid;
use velum_model::Id;
use velum_service::NicFilter;
use velum_wire::{NicView, Page};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which NICs: those that match all that is said.
    NicsQuery {
        /// Of this instance.
        instance_id: Uuid,
        /// In this network.
        network_id: Uuid,
        /// With this address.
        address: String,
    }
}

impl NicsQuery {
    fn filter(&self) -> Answered<NicFilter> {
        Ok(NicFilter {
            instance: self.instance_id.map(Id::from_uuid),
            network: self.network_id.map(Id::from_uuid),
            address: take::addressed("address", self.address.as_deref())?,
        })
    }
}

/// Lists NICs, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/nics",
    params(NicsQuery),
    responses((status = 200, body = Page<NicView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<NicsQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .nic_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
