//! `GET /v1/compute-hosts`

use axum::extract::State;
use uuid::Uuid;
use velum_model::Id;
use velum_service::ComputeHostFilter;
use velum_wire::{ComputeHostView, HostState, Intent, Page};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which compute hosts: those that match all that is said.
    ComputeHostsQuery {
        /// Of this name.
        name: String,
        /// In this zone.
        zone_id: Uuid,
        /// In this pod.
        pod_id: Uuid,
        /// In this cluster.
        cluster_id: Uuid,
        /// With this intent.
        #[param(inline)]
        intent: Intent,
        /// Seen like this.
        #[param(inline)]
        observed: HostState,
    }
}

impl ComputeHostsQuery {
    fn filter(&self) -> Answered<ComputeHostFilter> {
        Ok(ComputeHostFilter {
            name: take::named("name", self.name.as_deref())?,
            zone: self.zone_id.map(Id::from_uuid),
            pod: self.pod_id.map(Id::from_uuid),
            cluster: self.cluster_id.map(Id::from_uuid),
            intent: self.intent.map(convert::intent),
            observed: self.observed.map(convert::host_state),
        })
    }
}

/// Lists compute hosts, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/compute-hosts",
    params(ComputeHostsQuery),
    responses((status = 200, body = Page<ComputeHostView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<ComputeHostsQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .compute_host_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
