//! `GET /v1/networks`

use axum::extract::State;
use uuid::Uuid;
use velum_model::Id;
use velum_service::NetworkFilter;
use velum_wire::{NetworkView, Page};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which networks: those that match all that is said.
    NetworksQuery {
        /// Of this name.
        name: String,
        /// In this zone.
        zone_id: Uuid,
        /// Of this offering.
        network_offering_id: Uuid,
    }
}

impl NetworksQuery {
    fn filter(&self) -> Answered<NetworkFilter> {
        Ok(NetworkFilter {
            name: take::named("name", self.name.as_deref())?,
            zone: self.zone_id.map(Id::from_uuid),
            offering: self.network_offering_id.map(Id::from_uuid),
        })
    }
}

/// Lists networks, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/networks",
    params(NetworksQuery),
    responses((status = 200, body = Page<NetworkView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<NetworksQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .network_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
