//! `GET /v1/policies`

use axum::extract::State;

use velum_service::PolicyFilter;
use velum_wire::{Page, PolicyView};

use super::view::view;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{self, Query, list_query},
};

list_query! {
    /// Which policies: those that match all that is said.
    PoliciesQuery {
        /// Of this name.
        name: String,
        /// Of this component.
        digest: String,
    }
}

impl PoliciesQuery {
    fn filter(&self) -> Answered<PolicyFilter> {
        Ok(PolicyFilter {
            name: take::named("name", self.name.as_deref())?,
            digest: take::digested("digest", self.digest.as_deref())?,
        })
    }
}

/// Lists policies, in the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/policies",
    params(PoliciesQuery),
    responses((status = 200, body = Page<PolicyView>, description = "A part of the list"))
)]
pub async fn list(
    State(api): State<ApiState>,
    By(caller): By,
    Query(query): Query<PoliciesQuery>,
) -> Answered<Answer> {
    let paged = api
        .services
        .policy_list(&caller, &query.filter()?, query.page()?)
        .await?;
    Ok(answer::listed(paged, |item| view(&item)))
}
