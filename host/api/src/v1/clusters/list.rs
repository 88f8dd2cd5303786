//! `GET /v1/clusters`

use axum::extract::State;
use uuid::Uuid;
use velum_model::Id;
use velum_service::ClusterFilter;
use velum_wire::{ClusterView, Page};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which clusters: those that match all that is said.
    ClustersQuery {
        /// Of this name.
        name: String,
        /// In this zone.
        zone_id: Uuid,
        /// In this pod.
        pod_id: Uuid,
    }
}

impl ClustersQuery {
    fn filter(&self) -> Answered<ClusterFilter> {
        Ok(ClusterFilter {
            name: take::named("name", self.name.as_deref())?,
            zone: self.zone_id.map(Id::from_uuid),
            pod: self.pod_id.map(Id::from_uuid),
        })
    }
}

/// Lists clusters, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/clusters",
    params(ClustersQuery),
    responses((status = 200, body = Page<ClusterView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<ClustersQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .cluster_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
