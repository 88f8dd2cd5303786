//! `GET /v1/decisions`

use axum::extract::State;
use uuid::Uuid;
use velum_model::Id;
use velum_service::DecisionFilter;
use velum_wire::{DecisionView, Page};

use super::view::listed;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{Query, list_query, moment},
};

list_query! {
    /// Which decisions: those that match all that is said.
    DecisionsQuery {
        /// In this zone.
        zone_id: Uuid,
        /// For this instance.
        instance_id: Uuid,
        /// Those that found a place, or those that did not.
        placed: bool,
        /// Made at this moment (RFC 3339) or later.
        #[param(format = DateTime)]
        since: String,
        /// Made before this moment (RFC 3339).
        #[param(format = DateTime)]
        until: String,
    }
}

/// Lists decisions, in the order of their ids: oldest first. Compute hosts one by one (`runners_up`, `refusals`) are shown with one decision.
#[utoipa::path(
    get,
    path = "/v1/decisions",
    params(DecisionsQuery),
    responses((status = 200, body = Page<DecisionView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<DecisionsQuery>,
) -> Answered<Answer> {
    let filter = DecisionFilter {
        zone: query.zone_id.map(Id::from_uuid),
        instance: query.instance_id.map(Id::from_uuid),
        placed: query.placed,
        since: moment("since", query.since.as_deref())?,
        until: moment("until", query.until.as_deref())?,
    };
    let paged = api
        .services
        .decision_list(&caller, &filter, query.page()?)
        .await?;
    Ok(answer::listed(paged, listed))
}
