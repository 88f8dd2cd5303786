//! `GET /v1/instances`

use axum::extract::State;
use uuid::Uuid;
use velum_model::Id;
use velum_service::InstanceFilter;
use velum_wire::{InstanceState, InstanceView, Page};

use super::{convert, view::detailed};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which instances: those that match all that is said.
    InstancesQuery {
        /// Of this name.
        name: String,
        /// In this zone.
        zone_id: Uuid,
        /// In this state.
        #[param(inline)]
        state: InstanceState,
        /// With a run on this compute host.
        compute_host_id: Uuid,
        /// Of this compute offering.
        compute_offering_id: Uuid,
        /// Made from this template.
        template_id: Uuid,
        /// In this affinity group.
        affinity_group_id: Uuid,
    }
}

impl InstancesQuery {
    fn filter(&self) -> Answered<InstanceFilter> {
        Ok(InstanceFilter {
            name: take::named("name", self.name.as_deref())?,
            zone: self.zone_id.map(Id::from_uuid),
            state: self.state.map(convert::state),
            compute_host: self.compute_host_id.map(Id::from_uuid),
            offering: self.compute_offering_id.map(Id::from_uuid),
            template: self.template_id.map(Id::from_uuid),
            affinity_group: self.affinity_group_id.map(Id::from_uuid),
        })
    }
}

/// Lists instances with their runs, NICs, volumes and affinity groups, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/instances",
    params(InstancesQuery),
    responses((status = 200, body = Page<InstanceView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<InstancesQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .instance_details(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |detail| detailed(&detail)))
}
