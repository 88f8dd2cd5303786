//! `GET /v1/storage-pools`

use axum::extract::State;
use uuid::Uuid;
use velum_model::Id;
use velum_service::StoragePoolFilter;
use velum_wire::{Intent, Page, StoragePoolView};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which storage pools: those that match all that is said.
    StoragePoolsQuery {
        /// Of this name.
        name: String,
        /// In this zone.
        zone_id: Uuid,
        /// Which only this cluster reaches.
        cluster_id: Uuid,
        /// Which only this compute host reaches.
        compute_host_id: Uuid,
        /// With this intent.
        #[param(inline)]
        intent: Intent,
    }
}

impl StoragePoolsQuery {
    fn filter(&self) -> Answered<StoragePoolFilter> {
        Ok(StoragePoolFilter {
            name: take::named("name", self.name.as_deref())?,
            zone: self.zone_id.map(Id::from_uuid),
            cluster: self.cluster_id.map(Id::from_uuid),
            compute_host: self.compute_host_id.map(Id::from_uuid),
            intent: self.intent.map(convert::intent),
        })
    }
}

/// Lists storage pools, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/storage-pools",
    params(StoragePoolsQuery),
    responses((status = 200, body = Page<StoragePoolView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<StoragePoolsQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .storage_pool_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
