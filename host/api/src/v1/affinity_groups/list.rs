//! `GET /v1/affinity-groups`

use axum::extract::State;
use uuid::Uuid;
use velum_model::Id;
use velum_service::AffinityGroupFilter;
use velum_wire::{AffinityGroupView, AffinityKind, Page};

use super::{convert, view::view};
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which affinity groups: those that match all that is said.
    AffinityGroupsQuery {
        /// Of this name.
        name: String,
        /// In this zone.
        zone_id: Uuid,
        /// Of this kind.
        #[param(inline)]
        kind: AffinityKind,
    }
}

impl AffinityGroupsQuery {
    fn filter(&self) -> Answered<AffinityGroupFilter> {
        Ok(AffinityGroupFilter {
            name: take::named("name", self.name.as_deref())?,
            zone: self.zone_id.map(Id::from_uuid),
            kind: self.kind.map(convert::kind),
        })
    }
}

/// Lists affinity groups, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/affinity-groups",
    params(AffinityGroupsQuery),
    responses((status = 200, body = Page<AffinityGroupView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<AffinityGroupsQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .affinity_group_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
